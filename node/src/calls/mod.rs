//! What JavaScript calls. Arguments have been shaped there; what is checked here is what only the engine knows.

mod clients;
mod requests;
mod server;
mod sockets;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tidewire::engine::LocalSocket;
use tidewire::{Kind, Payload, SendStatus, SocketError};

use crate::host::Host;
use crate::napi::{Callback, Env, Value};
use crate::native;
use crate::replies::Replies;
use crate::seats::Seats;
use crate::slab::Slab;

/// What the addon keeps for one environment.
#[derive(Default)]
struct Addon {
    /// By number, until they have stopped. A number is never another's: what is late must not reach it.
    hosts: RefCell<BTreeMap<u32, Rc<Host>>>,
    next_host: Cell<u32>,
    scratch: RefCell<Vec<u8>>,
    seats: Rc<Seats>,
    /// Given by JavaScript before anything else.
    replies: OnceCell<Rc<Replies>>,
    /// Some host must be told when JavaScript may have sent.
    tell: Cell<bool>,
}

impl Addon {
    /// JavaScript calls something that may send: what it has sent before goes first.
    fn touched(&self) {
        if let Some(replies) = self.replies.get() {
            replies.settle();
        }
        if self.tell.get() {
            self.hosts.borrow().values().for_each(|host| host.touched());
        }
    }

    /// Gives a host a number.
    fn keep(&self, host: Rc<Host>) -> u32 {
        self.tell.set(self.tell.get() || host.must_be_told());
        let number = self.next_host.get();
        self.next_host.set(number.wrapping_add(1));
        self.hosts.borrow_mut().insert(number, host);
        number
    }
}

/// Gives the module its functions.
pub fn register(env: Env, exports: Value) {
    env.set_instance(Addon::default());
    let own: &[(&str, Callback)] = &[("share", share), ("fill", fill), ("fatal", fatal)];
    let all = [own, server::FUNCTIONS, requests::FUNCTIONS, sockets::FUNCTIONS, clients::FUNCTIONS];
    for (name, function) in all.into_iter().flatten() {
        env.define(exports, name, *function);
    }
}

fn host(env: Env, number: Value) -> Option<Rc<Host>> {
    let addon = env.instance::<Addon>()?;
    addon.touched();
    addon.hosts.borrow().get(&number.as_u32(env)).cloned()
}

/// Calls `with` with the socket of a seat; `with` must not call JavaScript.
fn with_socket<R>(env: Env, seat: Value, with: impl FnOnce(&LocalSocket) -> R) -> Option<R> {
    let addon = env.instance::<Addon>()?;
    addon.touched();
    addon.seats.with(seat.as_u32(env), with)
}

/// The socket of a seat, for what may call JavaScript.
fn socket(env: Env, seat: Value) -> Option<LocalSocket> {
    let addon = env.instance::<Addon>()?;
    addon.touched();
    addon.seats.socket(seat.as_u32(env))
}

/// Bytes or text of JavaScript's, as a payload.
pub struct Data<'a>(pub Kind, pub &'a [u8]);

impl Payload for Data<'_> {
    fn kind(&self) -> Kind {
        self.0
    }

    fn bytes(&self) -> &[u8] {
        self.1
    }
}

/// Calls `with` with a string as text, or with a view as bytes.
fn with_data<R>(env: Env, value: Value, with: impl Fn(Data<'_>) -> R) -> Option<R> {
    let scratch = &mut *env.instance::<Addon>()?.scratch.borrow_mut();
    value
        .with_text(env, scratch, |text| with(Data(Kind::Text, text)))
        .or_else(|| value.with_bytes(env, |bytes| with(Data(Kind::Binary, bytes))))
}

/// The numbers of the contract. An empty message answers 0 as a dropped one does: so does Bun.
fn status(env: Env, status: Option<SendStatus>) -> Option<Value> {
    let number = status.unwrap_or(SendStatus::Dropped).to_number();
    Some(i32::try_from(number).map_or_else(|_| env.number(number as f64), |small| env.int(small)))
}

fn text(env: Env, value: Value) -> String {
    value.as_string(env).unwrap_or_default()
}

/// Throws what the engine says, as the contract's class of error.
fn thrown<T>(env: Env, result: Result<T, SocketError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let class = match error {
                SocketError::EmptyTopic => "TypeError",
                _ => "RangeError",
            };
            env.throw(class, &error.to_string());
            None
        }
    }
}

native!(
    /// share(view): memory for small payloads, before anything else.
    share,
    1,
    |env, [view]| {
        let addon = env.instance::<Addon>()?;
        match Slab::of(env, view) {
            Some(slab) => drop(addon.replies.set(Rc::new(Replies::new(Rc::new(slab), addon.seats.clone())))),
            None => env.throw("TypeError", "share expects a Uint8Array of 8,192 bytes"),
        }
        None
    }
);

native!(
    /// fill(view, from): copies the bytes of the event that is being handled into a Uint8Array, those from `from` on.
    fill,
    2,
    |env, [view, from]| {
        env.instance::<Addon>()?.replies.get()?.slab.fill(env, view, from.as_u32(env) as usize);
        None
    }
);

native!(
    /// fatal(error): the process's uncaught-exception path.
    fatal,
    1,
    |env, [error]| {
        env.fatal(error);
        None
    }
);
