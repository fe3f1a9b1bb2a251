//! TLS: the same promises as in the clear, and those of its own. On a simulated network first, then with programs of others.

#![forbid(unsafe_code)]
// What goes wrong in a test has to be loud, also in what its tests share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod certificates;
mod handshake;
mod programs;
mod traffic;

use std::sync::LazyLock;

use tidewire::tls::{Certificate, Tls};
use tidewire::{Builder, Server, Upgrade};
use tidewire_contract::World;
use tidewire_kit::client::{self, Client};
use tidewire_kit::sim::Peer;
use tidewire_kit::tls::{self, Authority, Certified, TLS_1_2, TLS_1_3, Terms};

/// A client on the simulated network, through TLS.
type Secured = Client<tls::Tls<Peer>>;

/// Making one takes longer than a simulated connection lives.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static LOCALHOST: LazyLock<Certified> = LazyLock::new(|| AUTHORITY.certify(&["localhost"]));
static CLIENT_1_2: LazyLock<Terms> = LazyLock::new(|| Terms::new(&AUTHORITY, &[TLS_1_2], None));
static CLIENT_1_3: LazyLock<Terms> = LazyLock::new(|| Terms::new(&AUTHORITY, &[TLS_1_3], None));

/// Both versions: what holds for one holds for the other.
fn versions() -> [&'static Terms; 2] {
    [&CLIENT_1_2, &CLIENT_1_3]
}

fn certificate(certified: &Certified) -> Certificate {
    Certificate::bytes(certified.cert.clone(), certified.key.clone())
}

fn localhost() -> Tls {
    Tls::new(certificate(&LOCALHOST))
}

/// Sends every message back.
fn echo() -> Builder<()> {
    let builder = Server::builder().tls(localhost()).unwrap();
    builder.fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) }).message(|ws, message| {
        ws.send(message);
    })
}

fn wire(world: &World, terms: &Terms) -> tls::Tls<Peer> {
    tls::Tls::new(world.peer(), terms, "localhost")
}

fn connect(world: &World, terms: &Terms) -> Secured {
    Client::open(wire(world, terms), &client::Upgrade::to("/"))
}

/// Lets the world run until nothing is left to do, while no client reads.
fn rest(world: &mut World) {
    world.settle(&mut []);
}
