//! The server's hot paths, one at a time: `cargo xtask counts` runs this under callgrind, which counts the instructions of
//! [`world::measured`] and nothing else. Server and clients share one thread and speak over a unix socket of the kernel, so every run
//! does the same in the same order.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a program that is run by a tool: what goes wrong has to be loud")]

#[cfg(target_os = "linux")]
mod paths;
#[cfg(target_os = "linux")]
mod wire;
#[cfg(target_os = "linux")]
mod world;

/// Without an argument lists the paths. With the name of one, goes it and says how many units it did: `count`.
#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match std::env::args().nth(1) {
        None => paths::ALL.iter().for_each(|path| println!("{} {}", path.name, path.unit)),
        Some(name) => match paths::ALL.iter().find(|path| path.name == name) {
            Some(path) => println!("{}", (path.run)()),
            None => {
                eprintln!("counts: no path is called {name}; without an argument they are listed");
                return std::process::ExitCode::FAILURE;
            }
        },
    }
    std::process::ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("counts: callgrind is used on Linux only");
}
