//! Compression: agreed on with every client that can (browsers do), and used for the messages that ask for it. A publish is compressed
//! once for all who agreed on the same, however many they are.
//!
//! An argument gives every socket a compressor of its own, which remembers earlier messages: `dedicated`, or `3KB` to `256KB`.

use std::error::Error;

use tidewire::{Compress, Compressor, Deflate, Server, Upgrade};

const TOPIC: &str = "everybody";

fn main() -> Result<(), Box<dyn Error>> {
    let compressor = std::env::args().nth(1).map_or(Ok(Compressor::Shared), |name| name.parse())?;
    let server = Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .open(|ws| {
            ws.subscribe(TOPIC);
        })
        .message(|ws, message| {
            if message.is_text() {
                // As it is, unless it is asked for otherwise. To a client that cannot, everything goes as it is.
                ws.send(&message);
                ws.send_with(&message, Compress::Yes);
            } else {
                // Compressed, unless it is asked for otherwise.
                ws.server().publish(TOPIC, &message);
            }
        })
        .close(|ws, _, _| {
            let metrics = ws.server().metrics();
            println!("{} compressed messages took {} compressions", metrics.messages_out_compressed, metrics.compressions);
        })
        // What is received is decompressed by one decompressor for all sockets: none refers to an earlier message.
        .per_message_deflate(Deflate { compress: compressor, decompress: Compressor::Shared }) // or just `true`
        .options(|options| options.compression_threshold = 128) // bytes, default 64: shorter ones gain little
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}
