//! `tidewire echo`: every message goes back as it came.

use tidewire::{Builder, Compress, Server, Upgrade};

/// The server.
pub fn server() -> Builder<()> {
    Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) }).message(|ws, message| {
        // Where nothing was agreed on, this is `send`.
        ws.send_with(message, Compress::Yes);
    })
}
