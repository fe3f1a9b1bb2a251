//! The client's side of the Autobahn test suite: asks a `wstest --mode fuzzingserver` how many cases there are, sends every message of
//! each back, compressed where that was agreed on, and has the reports written.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use tidewire::{Client, Compress, Compressor};

fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
    let (url, agent) = (variable("AUTOBAHN_URL")?, variable("AUTOBAHN_AGENT")?);
    for case in 1..=count(&url)? {
        run(&format!("{url}/runCase?case={case}&agent={agent}"), echo())?;
    }
    // The handshake is answered when the reports are written.
    let patient = Client::builder().options(|options| options.connect_timeout = Duration::from_secs(600));
    run(&format!("{url}/updateReports?agent={agent}"), patient)
}

/// How many cases are waiting.
fn count(url: &str) -> Result<u32, Box<dyn Error>> {
    let count = Rc::new(Cell::new(None));
    let heard = Rc::clone(&count);
    let client = Client::builder().message(move |_ws, message| heard.set(message.text().parse().ok()));
    run(&format!("{url}/getCaseCount"), client)?;
    Ok(count.get().ok_or("the server has not said how many cases there are")?)
}

/// Agrees to every kind of compression, and sends every message back.
fn echo() -> Client {
    Client::builder().per_message_deflate(Compressor::Dedicated).message(|ws, message| {
        ws.send_with(message, Compress::Yes);
    })
}

/// Runs a client until its connection has ended. However it ends is the suite's to judge, but every handshake must succeed.
fn run(url: &str, client: Client) -> Result<(), Box<dyn Error>> {
    let failure = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&failure);
    client.error(move |_ws, error| *seen.borrow_mut() = Some(error.to_string())).run(url)?;
    failure.take().map_or(Ok(()), |error| Err(format!("{url}: {error}").into()))
}
