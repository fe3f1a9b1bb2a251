//! The handles on Node's event loop: a poll on the worker's descriptor turns it, a prepare flushes what JavaScript sent before
//! the loop sleeps, a timer serves its deadlines.
//!
//! libuv is part of the process that loads us, so its functions are looked up there.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use crate::napi::{CleanupHook, Env};

/// libuv's handle types.
const POLL: c_int = 8;
const PREPARE: c_int = 9;
const TIMER: c_int = 13;
/// libuv's event: the descriptor is readable.
const READABLE: c_int = 1;

type Handle = *mut c_void;
type OnHandle = unsafe extern "C" fn(Handle);
type OnPoll = unsafe extern "C" fn(Handle, c_int, c_int);

/// The functions of libuv that are used.
#[derive(Clone, Copy)]
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut c_void, Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(Handle, c_int, OnPoll) -> c_int,
    prepare_init: unsafe extern "C" fn(*mut c_void, Handle) -> c_int,
    prepare_start: unsafe extern "C" fn(Handle, OnHandle) -> c_int,
    timer_init: unsafe extern "C" fn(*mut c_void, Handle) -> c_int,
    timer_start: unsafe extern "C" fn(Handle, OnHandle, u64, u64) -> c_int,
    timer_stop: unsafe extern "C" fn(Handle) -> c_int,
    reference: unsafe extern "C" fn(Handle),
    unreference: unsafe extern "C" fn(Handle),
    close: unsafe extern "C" fn(Handle, OnHandle),
}

/// Looks a function up in the process; `None` when the host has no libuv, or hides it.
fn symbol<F: Copy>(name: &CStr) -> Option<F> {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>(), "a function pointer is a pointer");
    // SAFETY: the name is a C string. A symbol of this name has the signature that libuv documents, which is stable within
    // libuv 1.x and is what the field's type says.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr().cast::<c_char>());
        (!found.is_null()).then(|| std::mem::transmute_copy(&found))
    }
}

impl Uv {
    fn load() -> Option<Self> {
        Some(Self {
            handle_size: symbol(c"uv_handle_size")?,
            poll_init: symbol(c"uv_poll_init")?,
            poll_start: symbol(c"uv_poll_start")?,
            prepare_init: symbol(c"uv_prepare_init")?,
            prepare_start: symbol(c"uv_prepare_start")?,
            timer_init: symbol(c"uv_timer_init")?,
            timer_start: symbol(c"uv_timer_start")?,
            timer_stop: symbol(c"uv_timer_stop")?,
            reference: symbol(c"uv_ref")?,
            unreference: symbol(c"uv_unref")?,
            close: symbol(c"uv_close")?,
        })
    }

    /// Zeroed memory for a handle; its first field is the user's data.
    fn handle(&self, kind: c_int, data: *const c_void) -> Box<[u64]> {
        // SAFETY: asks for a size.
        let bytes = unsafe { (self.handle_size)(kind) };
        let mut memory = vec![0_u64; bytes.div_ceil(8).max(1)].into_boxed_slice();
        memory[0] = data as u64;
        memory
    }
}

/// The three handles of one host. They live until libuv has closed all of them.
pub struct Handles {
    uv: Uv,
    poll: Box<[u64]>,
    prepare: Box<[u64]>,
    timer: Box<[u64]>,
    /// How many are not closed yet.
    open: c_uint,
    hook: Option<CleanupHook>,
    host: Rc<Host>,
}

/// What the host holds: a pointer to its handles, valid until it has asked to close them.
pub struct Attached(*mut Handles);

/// Why a worker cannot live on this loop.
#[derive(Debug)]
pub enum NoLoop {
    /// The runtime is not built on libuv, or hides it.
    Hidden,
    /// libuv cannot poll the worker's descriptor.
    Refused,
}

/// Puts a host on Node's event loop.
pub fn attach(env: Env, host: &Rc<Host>, descriptor: c_int) -> Result<Attached, NoLoop> {
    let uv = Uv::load().ok_or(NoLoop::Hidden)?;
    let event_loop = env.event_loop();
    if event_loop.is_null() {
        return Err(NoLoop::Hidden);
    }
    let handles = Box::into_raw(Box::new(Handles {
        uv,
        poll: Box::default(),
        prepare: Box::default(),
        timer: Box::default(),
        open: 0,
        hook: None,
        host: host.clone(),
    }));
    // SAFETY: `handles` was made above and is freed only in `closed`, after all three are closed. The memory of each handle is
    // of the size that libuv asks for, and does not move: it is boxed. The loop is Node's, and this is its thread.
    let result = unsafe {
        let this = &mut *handles;
        this.poll = uv.handle(POLL, handles.cast());
        this.prepare = uv.handle(PREPARE, handles.cast());
        this.timer = uv.handle(TIMER, handles.cast());
        let mut result = (uv.poll_init)(event_loop, this.poll.as_mut_ptr().cast(), descriptor);
        if result == 0 {
            (uv.prepare_init)(event_loop, this.prepare.as_mut_ptr().cast());
            (uv.timer_init)(event_loop, this.timer.as_mut_ptr().cast());
            this.open = 3;
            result = (uv.poll_start)(this.poll.as_mut_ptr().cast(), READABLE, on_poll);
            (uv.prepare_start)(this.prepare.as_mut_ptr().cast(), on_prepare);
            // Only the poll keeps the process alive.
            (uv.unreference)(this.prepare.as_mut_ptr().cast());
            (uv.unreference)(this.timer.as_mut_ptr().cast());
            this.hook = Some(env.at_end(on_end, handles.cast()));
        }
        result
    };
    if result != 0 {
        let attached = Attached(handles);
        attached.close();
        return Err(NoLoop::Refused);
    }
    Ok(Attached(handles))
}

impl Attached {
    /// Whether the server keeps the process alive.
    pub fn keep_alive(&self, keep: bool) {
        // SAFETY: the pointer is valid until `close`, which takes `self`.
        unsafe {
            let this = &mut *self.0;
            let change = if keep { this.uv.reference } else { this.uv.unreference };
            change(this.poll.as_mut_ptr().cast());
        }
    }

    /// Has the worker turned after a time, at the latest; `None`: only when its descriptor says so.
    pub fn wake_after(&self, time: Option<Duration>) {
        // SAFETY: as in `keep_alive`.
        unsafe {
            let this = &mut *self.0;
            let timer = this.timer.as_mut_ptr().cast();
            match time {
                // Rounded up: a deadline is not met early, over and over.
                Some(time) => (this.uv.timer_start)(timer, on_timer, time.as_nanos().div_ceil(1_000_000) as u64, 0),
                None => (this.uv.timer_stop)(timer),
            };
        }
    }

    /// Takes the host off the loop; its memory goes when libuv has closed the handles.
    pub fn close(self) {
        // SAFETY: as in `keep_alive`; `on_closed` runs later, from the loop, and frees when it is the last.
        unsafe {
            let this = &mut *self.0;
            if this.open == 0 {
                return drop(Box::from_raw(self.0));
            }
            (this.uv.close)(this.poll.as_mut_ptr().cast(), on_closed);
            (this.uv.close)(this.prepare.as_mut_ptr().cast(), on_closed);
            (this.uv.close)(this.timer.as_mut_ptr().cast(), on_closed);
        }
    }
}

/// The host of a handle.
///
/// # Safety
/// `handle` is one of ours and not closed.
unsafe fn host(handle: Handle) -> Rc<Host> {
    // SAFETY: the first field of a libuv handle is the user's data: our `Handles`, alive until all handles are closed.
    unsafe { (*(*handle.cast::<*mut Handles>())).host.clone() }
}

unsafe extern "C" fn on_poll(handle: Handle, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls with the handle that was started.
    unsafe { host(handle) }.turn();
}

unsafe extern "C" fn on_prepare(handle: Handle) {
    // SAFETY: as above.
    unsafe { host(handle) }.flush();
}

unsafe extern "C" fn on_timer(handle: Handle) {
    // SAFETY: as above.
    unsafe { host(handle) }.turn();
}

unsafe extern "C" fn on_closed(handle: Handle) {
    // SAFETY: the data is our `Handles`; it is freed when its last handle is closed, and nobody uses it after.
    unsafe {
        let this = *handle.cast::<*mut Handles>();
        (*this).open -= 1;
        if (*this).open == 0 {
            let Handles { hook, host, .. } = *Box::from_raw(this);
            // Last: the environment may be gone when the hook is finished.
            drop(host);
            if let Some(hook) = hook {
                hook.finish();
            }
        }
    }
}

/// The environment ends: a thread has ended, or the process exits. JavaScript must not be called any more.
unsafe extern "C" fn on_end(_handle: napi_sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `data` is our `Handles`, alive until all handles are closed, which finishes this hook.
    let host = unsafe { (*data.cast::<Handles>()).host.clone() };
    host.environment_ends();
}
