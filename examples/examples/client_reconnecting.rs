//! A client that comes back: when the connection ends, or there is none yet, it tries again, later and later. An argument gives
//! another address than the other examples', a second one after how many attempts to give up.

use std::error::Error;
use std::time::Duration;

use tidewire::client::{Backoff, Dial, Event, Reconnecting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:3000".to_owned());
    let attempts = arguments.next().map(|attempts| attempts.parse()).transpose()?;
    let backoff = Backoff { first: Duration::from_millis(100), attempts, ..Backoff::default() };
    let mut feed = Reconnecting::new(Dial::to(&url)?).backoff(backoff);
    while let Some(event) = feed.next().await {
        match event {
            Event::Connecting(attempt) => println!("attempt {attempt}"),
            Event::Open => {
                println!("open");
                // Whatever the server forgot when the last connection ended.
                feed.send("Hello again").await?;
            }
            Event::Message(message) => println!("message: {message}"),
            Event::Down { failure, retry_in: Some(time) } => println!("down: {failure}; again in {} ms", time.as_millis()),
            Event::Down { failure, retry_in: None } => println!("given up: {failure}"),
            _ => {}
        }
    }
    Ok(())
}
