//! How long a client may be silent, and how much it may send at once. An argument gives other seconds than 60.

use std::error::Error;
use std::time::Duration;

use tidewire::{Server, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(60), |seconds| seconds.parse())?;
    let server = Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .message(|ws, message| {
            ws.send(format!("{} bytes came", message.len()));
        })
        .close(|_ws, code, reason| println!("closed: {code} {reason}"))
        .idle_timeout(Duration::from_secs(seconds)) // default 120 s
        .max_payload_length(1024 * 1024) // bytes, default 16 MiB
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}
