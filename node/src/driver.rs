//! What has a worker turned when a turn is due: libuv's handles, or where the runtime hides libuv, a doorbell.

use std::ffi::c_int;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::doorbell::{self, Doorbell};
use crate::host::Host;
use crate::napi::Env;
use crate::uv::{self, Attached, NoLoop};

pub enum Driver {
    Loop(Attached),
    Doorbell(Doorbell),
}

impl Driver {
    /// Puts a host on the event loop. `TIDEWIRE_DRIVER=doorbell` in the environment does without libuv.
    pub fn attach(env: Env, host: &Rc<Host>, descriptor: c_int, waker: Waker) -> Result<Self, &'static str> {
        if std::env::var_os("TIDEWIRE_DRIVER").is_none_or(|driver| driver != "doorbell") {
            match uv::attach(env, host, descriptor) {
                Ok(attached) => return Ok(Self::Loop(attached)),
                Err(NoLoop::Hidden) => {}
                Err(NoLoop::Refused) => return Err("the event loop refused the worker's descriptor"),
            }
        }
        doorbell::attach(env, host, descriptor, waker).map(Self::Doorbell)
    }

    /// A turn has ended; the next is due when the worker's descriptor says so, or after a time.
    pub fn after_turn(&self, wait: Option<Duration>) {
        match self {
            Self::Loop(attached) => attached.wake_after(wait),
            Self::Doorbell(bell) => bell.after_turn(wait),
        }
    }

    /// A turn is due, whatever the descriptor says.
    pub fn soon(&self) {
        match self {
            Self::Loop(attached) => attached.wake_after(Some(Duration::ZERO)),
            Self::Doorbell(bell) => bell.soon(),
        }
    }

    /// Something may have been sent outside a turn. A loop of libuv's asks before it sleeps; a doorbell must be rung.
    pub fn touched(&self) {
        if let Self::Doorbell(bell) = self {
            bell.soon();
        }
    }

    /// Whether the runtime runs nextTick callbacks and microtasks between the events of a turn by itself.
    pub fn runs_ticks(&self) -> bool {
        matches!(self, Self::Loop(_))
    }

    /// Whether the server keeps the process alive.
    pub fn keep_alive(&self, keep: bool) {
        match self {
            Self::Loop(attached) => attached.keep_alive(keep),
            Self::Doorbell(bell) => bell.keep_alive(keep),
        }
    }

    /// Ends it, before the worker's descriptor is closed.
    pub fn close(self) {
        match self {
            Self::Loop(attached) => attached.close(),
            Self::Doorbell(bell) => bell.close(),
        }
    }
}
