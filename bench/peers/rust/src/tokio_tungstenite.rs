//! tokio-tungstenite: what comes is forwarded, and flushed when there is no more.

use futures_util::{StreamExt as _, TryStreamExt as _, future};
use tokio::net::TcpStream;

use crate::Outcome;

pub async fn serve(stream: TcpStream) -> Outcome {
    let (write, read) = tokio_tungstenite::accept_async(stream).await?.split();
    Ok(read.try_filter(|message| future::ready(message.is_text() || message.is_binary())).forward(write).await?)
}
