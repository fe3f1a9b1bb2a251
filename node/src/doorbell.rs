//! The other way onto a loop, for a runtime that hides libuv: a thread waits for the worker's descriptor and has the loop call
//! us through Node-API. It costs a hop between threads for each turn, so it is taken only where there is no other.
//!
//! The thread waits only between turns: the end of a turn tells it how long. What comes up meanwhile (something was sent, the
//! server stops) rings the worker's own waker, which makes the descriptor readable.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use napi_sys as sys;

use crate::host::Host;
use crate::napi::{CleanupHook, Env};

/// What the loop's thread tells the doorbell's.
#[derive(Default)]
struct Orders {
    /// Wait for the descriptor, and at most so long.
    wait: Option<Option<Duration>>,
    quit: bool,
}

#[derive(Default)]
struct Desk {
    orders: Mutex<Orders>,
    changed: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next wait, once a turn has asked for it; `None`: the thread is not needed any more.
    fn next(&self) -> Option<Option<Duration>> {
        let idle = |orders: &mut Orders| !orders.quit && orders.wait.is_none();
        let mut orders = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if orders.quit { None } else { orders.wait.take() }
    }
}

/// The call into the loop, as the doorbell's thread holds it.
#[derive(Clone, Copy)]
struct Call(sys::napi_threadsafe_function);

// SAFETY: a threadsafe function is made to be called from any thread.
unsafe impl Send for Call {}

impl Call {
    /// Has the host turned, on its own thread, soon.
    fn ring(self) {
        // SAFETY: it is released only after the thread that calls this has ended.
        unsafe { sys::napi_call_threadsafe_function(self.0, ptr::null_mut(), sys::ThreadsafeFunctionCallMode::nonblocking) };
    }
}

/// A worker's doorbell.
pub struct Doorbell {
    env: Env,
    call: Call,
    desk: Arc<Desk>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    hook: Option<CleanupHook>,
}

/// Has the host turned whenever the descriptor is readable.
pub fn attach(env: Env, host: &Rc<Host>, descriptor: c_int, waker: Waker) -> Result<Doorbell, &'static str> {
    let context: *mut c_void = Rc::into_raw(host.clone()).cast_mut().cast();
    let (name, none, mut function) = (env.string("tidewire"), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the context is a counted `Host`, given back in `on_gone`, which Node.js calls once, on this thread; the callbacks
    // have the signatures that Node.js calls.
    let status = unsafe {
        let (call, gone, result) = (Some(on_ring as _), Some(on_gone as _), &raw mut function);
        sys::napi_create_threadsafe_function(env.raw(), none, none, name.raw(), 0, 1, context, gone, context, call, result)
    };
    if status != sys::Status::napi_ok {
        // SAFETY: nobody has taken it.
        drop(unsafe { Rc::from_raw(context.cast::<Host>()) });
        return Err("the runtime offers no threadsafe function");
    }
    let (call, desk) = (Call(function), Arc::<Desk>::default());
    let mut bell = Doorbell { env, call, desk: desk.clone(), waker, thread: None, hook: None };
    let thread = std::thread::Builder::new().name("tidewire doorbell".into()).spawn(move || watch(&desk, descriptor, call));
    match thread {
        Ok(thread) => bell.thread = Some(thread),
        Err(_) => {
            bell.close();
            return Err("the system gives no thread");
        }
    }
    // SAFETY: the host outlives the hook: the doorbell's end, which finishes the hook, comes before `on_gone` lets go of it.
    bell.hook = Some(env.at_end(on_end, context));
    bell.after_turn(Some(Duration::ZERO));
    Ok(bell)
}

fn watch(desk: &Desk, descriptor: c_int, call: Call) {
    while let Some(wait) = desk.next() {
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        let milliseconds = wait.map_or(-1, |wait| wait.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as c_int);
        // SAFETY: one entry, which lives through the call. The descriptor stays open until this thread has ended. When the wait is
        // interrupted, the worker is turned for nothing, which is harmless.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        call.ring();
    }
}

impl Doorbell {
    /// A turn has ended: the next is due when the descriptor is readable, or after a time.
    pub fn after_turn(&self, wait: Option<Duration>) {
        self.desk.lock().wait = Some(wait);
        self.desk.changed.notify_one();
    }

    /// A turn is due: something was done outside one.
    pub fn soon(&self) {
        self.waker.wake_by_ref();
    }

    /// Whether the server keeps the process alive.
    pub fn keep_alive(&self, keep: bool) {
        let change = if keep { sys::napi_ref_threadsafe_function } else { sys::napi_unref_threadsafe_function };
        // SAFETY: the function is released only by `close`.
        unsafe { change(self.env.raw(), self.call.0) };
    }

    /// Ends the thread, before the worker's descriptor is closed; nothing is called after.
    pub fn close(mut self) {
        self.desk.lock().quit = true;
        self.desk.changed.notify_one();
        self.waker.wake_by_ref();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it does not panic, and if it did, it has ended
        }
        // SAFETY: released once; calls that wait are dropped, and `on_gone` follows from the loop.
        unsafe { sys::napi_release_threadsafe_function(self.call.0, sys::ThreadsafeFunctionReleaseMode::abort) };
        if let Some(hook) = self.hook.take() {
            hook.finish();
        }
    }
}

/// The loop calls: a turn is due.
unsafe extern "C" fn on_ring(env: sys::napi_env, _function: sys::napi_value, context: *mut c_void, _data: *mut c_void) {
    if env.is_null() {
        return; // the environment ends
    }
    // SAFETY: the context is a counted `Host`; another count keeps it while it turns.
    let host = unsafe {
        Rc::increment_strong_count(context.cast::<Host>());
        Rc::from_raw(context.cast::<Host>())
    };
    host.turn();
}

/// The function is gone: nobody calls with this context any more.
unsafe extern "C" fn on_gone(_env: sys::napi_env, context: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the count that `attach` has taken.
    drop(unsafe { Rc::from_raw(context.cast::<Host>()) });
}

/// The environment ends: a thread has ended, or the process exits. JavaScript must not be called any more.
unsafe extern "C" fn on_end(_handle: sys::napi_async_cleanup_hook_handle, context: *mut c_void) {
    // SAFETY: as in `on_ring`.
    let host = unsafe {
        Rc::increment_strong_count(context.cast::<Host>());
        Rc::from_raw(context.cast::<Host>())
    };
    host.environment_ends();
}
