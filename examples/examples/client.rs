//! A client: says hello to a server, prints the answer, and ends. An argument gives another address than the other examples'.

use std::error::Error;

use tidewire::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:3000".to_owned());
    let client = Client::builder()
        .protocol("soap")
        .protocol("wamp")
        .header("X-Custom", "a browser could not send this")
        .open(|ws| {
            println!("open");
            ws.send("Hello world");
        })
        .message(|ws, message| {
            println!("message: {message}");
            let _ = ws.close(1000, "that is all");
        })
        .close(|_ws, code, reason| println!("closed: {code} {reason}"))
        .error(|_ws, error| println!("error: {error}"));
    Ok(client.run(&url)?)
}
