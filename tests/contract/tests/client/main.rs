//! The client's role: the handlers' client on the simulator and on real sockets, the async one, and servers of other people.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test from end to end: what goes wrong has to be loud")]

mod again;
mod beside;
mod handshake;
mod notified;
mod secure;
mod servers;
mod stream;
mod ways;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidewire::Client;
use tidewire::engine::Worker;
use tidewire::sys::Endpoint;

const LIMIT: Duration = Duration::from_secs(600);

fn anywhere() -> Endpoint {
    Endpoint::Tcp(([127, 0, 0, 1], 0).into())
}

/// The simulator's wait returns at once, and remembers until when the worker would have slept.
fn turn(workers: &mut [Worker]) {
    workers.iter_mut().for_each(|worker| worker.turn(None).unwrap());
}

/// What a client's handlers were told, in order.
type Told = Rc<RefCell<Vec<String>>>;

/// A client that notes what it is told.
fn noting(told: &Told) -> Client {
    let note = |what: &'static str| {
        let told = told.clone();
        move |text: String| told.borrow_mut().push(format!("{what} {text}").trim_end().to_owned())
    };
    let (open, message, close, error) = (note("open"), note("message"), note("close"), note("error"));
    Client::builder()
        .open(move |_| open(String::new()))
        .message(move |_, text| message(text.to_string()))
        .close(move |_, code, reason| close(format!("{code} {reason}")))
        .error(move |_, why| error(why.to_string()))
}

/// Whether the client was told that it is over.
fn is_over(told: &Told) -> bool {
    told.borrow().iter().any(|line| line.starts_with("close"))
}
