//! The simulator obeys TCP, forgets nothing of a seed, and really does commit its faults.

mod faults;
mod kernel;
mod tcp;
mod world;

use super::{Faults, Network};
use std::time::Duration;
use tidewire_sys::{Endpoint, Interest, Io, ListenOptions, Token};
use world::{Simulated, World};

fn any_port() -> Endpoint {
    Endpoint::Tcp(([127, 0, 0, 1], 0).into())
}
