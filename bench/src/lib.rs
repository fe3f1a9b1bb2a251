//! The least that a message can cost.
//!
//! A WebSocket server's cost has a floor: the kernel's work for its bytes. The *bare* servers here pay that and nothing else:
//! they answer the upgrade, and from then on count bytes without looking at them. They move the same bytes in both directions
//! as a real server does, with one `recv` per readable socket and one `send` per socket and turn. What a real server costs above
//! them is its own doing.
//!
//! - `bare-echo`: answers every frame that comes in with one frame of the same payload.
//! - `bare-fanout`: sends one frame to every connection for every frame that comes in.
//! - `pin`: runs a program on one core, with room for many sockets, and not longer than the program that asked for it.
//!
//! The floor is epoll's and the meter is `/proc`: these programs measure on Linux. Elsewhere they build, and say so when run.
//!
//! What may not enter: anything of Tidewire itself but `tidewire-load`, of whose parts they are made, and which puts the load on them.
//! A measuring stick shares nothing with what it measures.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod bare;
#[cfg(target_os = "linux")]
pub mod pin;

use std::process::ExitCode;

/// Ends a program: with its error on the standard error stream, if there is one.
#[must_use]
pub fn exit(name: &str, result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The answer of these programs where they cannot measure.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn unsupported(name: &str) -> ExitCode {
    exit(name, Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "this measures on Linux only")))
}
