//! An async client: a WebSocket as a stream and a sink, each half in a task of its own. What is typed goes out, what comes is
//! printed, until the input ends. An argument gives another address than the other examples'.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use tidewire::Options;
use tidewire::client::{Dial, WebSocket};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:3000".to_owned());
    let dial = Dial::to(&url)?.per_message_deflate(true);
    let (mut sink, mut stream) = WebSocket::open(&dial, &Options::default()).await?.split();
    println!("open");

    let printing = tokio::spawn(async move {
        while let Some(message) = stream.next().await {
            match message {
                Ok(message) => println!("message: {message}"),
                Err(error) => return println!("lost: {error}"),
            }
        }
        println!("closed");
    });
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        sink.send(line.into()).await?;
    }
    sink.close().await?;
    Ok(printing.await?)
}
