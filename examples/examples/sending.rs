//! What can be sent: text, bytes, and a message as it came.

use std::error::Error;

use bytes::Bytes;
use tidewire::{Server, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .message(|ws, message| {
            // Strings are sent as text.
            ws.send("Hello world");
            ws.send(format!("{} bytes came", message.len()));

            // Bytes are sent as binary: arrays, slices, Vec<u8>, Bytes.
            ws.send(Bytes::from_static(b"shared bytes"));
            ws.send([1, 2, 3]);

            // A message is sent as what it was.
            ws.send(message);
        })
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}
