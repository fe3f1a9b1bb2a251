//! `tidewire echo`: every message goes back as it came.

use tidewire::{Builder, Server, Upgrade};

/// The server.
pub fn server() -> Builder<()> {
    Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) }).message(|ws, message| {
        ws.send(message);
    })
}
