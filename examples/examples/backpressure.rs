//! A producer that is as fast as its consumer: a client sends a number, and gets so many messages of 16 KiB.

use std::cell::Cell;
use std::error::Error;

use tidewire::{SendStatus, Server, Upgrade, Ws};

/// Data stays on its worker's thread, so a `Cell` will do.
#[derive(Default)]
struct Production {
    next: Cell<u64>,
    end: Cell<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(Production::default())) })
        .message(|ws, message| {
            let Production { next, end } = ws.data();
            let wanted: u64 = message.text().parse().unwrap_or(0);
            let idle = next.get() == end.get();
            end.set(end.get().saturating_add(wanted));
            // Otherwise it waits for `drain`, which goes on.
            if idle {
                produce(ws);
            }
        })
        .drain(|ws| {
            println!("drained: on from message {}", ws.data().next.get());
            produce(ws);
        })
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}

fn produce(ws: &Ws<Production>) {
    let Production { next, end } = ws.data();
    while next.get() < end.get() {
        let number = next.replace(next.get() + 1);
        match ws.send(format!("{number:016384}")) {
            // So many bytes are with the kernel, or will be at the end of this turn.
            SendStatus::Sent(_bytes) => {}
            // It will arrive, but the client is behind: `drain` is called when it has caught up.
            SendStatus::Backpressure => return println!("behind: message {number} waits"),
            // The socket is closed, or more than `backpressure_limit` waits, which this producer never lets happen.
            SendStatus::Dropped => return,
        }
    }
}
