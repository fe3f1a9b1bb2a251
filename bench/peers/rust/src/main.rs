//! Echo servers of other Rust libraries: `peers NAME`. Each as its own examples write it, on one thread, with TCP_NODELAY.

#![forbid(unsafe_code)]

mod axum;
mod fastwebsockets;
mod tokio_tungstenite;
mod tokio_websockets;

use std::error::Error;
use std::future::Future;

use tokio::net::{TcpListener, TcpStream};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let name = std::env::args().nth(1).unwrap_or_default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{name} echo listening on http://{}", listener.local_addr()?);
    match name.as_str() {
        "axum" => axum::serve(listener).await,
        "fastwebsockets" => accept(listener, fastwebsockets::serve).await,
        "tokio-tungstenite" => accept(listener, tokio_tungstenite::serve).await,
        "tokio-websockets" => accept(listener, tokio_websockets::serve).await,
        _ => Err("which library? axum, fastwebsockets, tokio-tungstenite or tokio-websockets".into()),
    }
}

/// A task for each connection. How one ends is not what is measured.
async fn accept<F: Future<Output = Outcome> + Send + 'static>(listener: TcpListener, serve: fn(TcpStream) -> F) -> Outcome {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}
