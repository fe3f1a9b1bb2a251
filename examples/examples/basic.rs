//! An echo server.
//!
//! Try it in a browser's console: `s = new WebSocket("ws://localhost:3000"); s.onmessage = e => console.log(e.data)`, then
//! `s.send("hello")`.

use std::error::Error;

use http::StatusCode;
use tidewire::{Server, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .fetch(|req, server| async move {
            // Upgrade the request to a WebSocket.
            if server.upgrade(&req, Upgrade::new(())).is_ok() {
                return None; // do not return a response
            }
            Some((StatusCode::INTERNAL_SERVER_ERROR, "Upgrade failed"))
        })
        .message(|ws, message| {
            ws.send(message); // echo back
        })
        .open(|_ws| {})
        .close(|_ws, _code, _reason| {})
        .drain(|_ws| {})
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}
