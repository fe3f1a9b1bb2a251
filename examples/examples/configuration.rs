//! Every option with its default, and a room to try them in.

use std::error::Error;
use std::time::Duration;

use tidewire::{Server, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .max_payload_length(16 * 1024 * 1024) // bytes
        .idle_timeout(Duration::from_secs(120)) // whole seconds
        .backpressure_limit(1024 * 1024) // bytes; Bun's own default is 16 MB
        .close_on_backpressure_limit(false)
        .send_pings(true)
        .publish_to_self(false)
        // What Bun does not have: named setters for the common ones, and `options` for every other limit.
        .max_connections(usize::MAX)
        .workers(1)
        .options(|options| options.max_subscriptions = 65_536)
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .open(|ws| {
            ws.subscribe("room");
        })
        .message(|ws, message| {
            ws.publish("room", message); // to all the others
        })
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}
