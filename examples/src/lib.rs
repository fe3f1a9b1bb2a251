//! What the examples share: where they listen. Everything else is in the folder `examples`, a program for each section of Bun's
//! WebSocket documentation; run one with `cargo run -p tidewire-examples --example basic`.

#![forbid(unsafe_code)]

use std::env;

/// Where the examples listen: this machine alone, at the port that the environment variable `PORT` names, else 3000. Port 0
/// picks a free one.
///
/// # Errors
/// When `PORT` is no port.
///
/// ```
/// assert_eq!(tidewire_examples::address()?.0, "127.0.0.1");
/// # Ok::<(), String>(())
/// ```
pub fn address() -> Result<(&'static str, u16), String> {
    let port = env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let port = port.parse().map_err(|_| format!("PORT is {port:?}; it must be a number up to 65535"))?;
    Ok(("127.0.0.1", port))
}
