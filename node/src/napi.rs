//! Node-API, as much of it as is needed, so that the rest of the addon has no `unsafe`.
//!
//! An [`Env`] is only made by Node.js calling us, on the thread that it belongs to, and the types here are not `Send`: so
//! every call below is made on the right thread, with an environment that is alive.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use napi_sys as sys;

/// Node's environment: one for each thread of JavaScript.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Env(sys::napi_env);

/// A value of JavaScript's, for as long as the current scope.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Value(sys::napi_value);

/// A function of JavaScript's that is kept alive.
pub struct Function {
    env: Env,
    reference: sys::napi_ref,
}

/// JavaScript threw, or a value was not what was expected.
#[derive(Debug)]
pub struct Failed;

type Result<T> = std::result::Result<T, Failed>;

fn check(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(Failed) }
}

/// The signature that Node.js calls.
pub type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// Defines a function for JavaScript: `native!(name, arguments, |env, [a, b]| value)`.
#[macro_export]
macro_rules! native {
    ($(#[$doc:meta])* $name:ident, $count:literal, $body:expr) => {
        $(#[$doc])*
        pub unsafe extern "C" fn $name(
            env: napi_sys::napi_env,
            info: napi_sys::napi_callback_info,
        ) -> napi_sys::napi_value {
            let body: fn($crate::napi::Env, [$crate::napi::Value; $count]) -> Option<$crate::napi::Value> = $body;
            $crate::napi::enter(env, info, body)
        }
    };
}

/// Runs the body of a function of ours: unpacks its arguments, and keeps a panic from unwinding into Node.js.
pub fn enter<const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    body: fn(Env, [Value; N]) -> Option<Value>,
) -> sys::napi_value {
    let env = Env(env);
    let mut values = [Value(ptr::null_mut()); N];
    let mut count = N;
    // SAFETY: `info` belongs to this call; the array has room for `count` values, and `Value` has the layout of a
    // `napi_value`. Node.js fills what was not passed with `undefined`.
    let status = unsafe {
        sys::napi_get_cb_info(env.0, info, &raw mut count, values.as_mut_ptr().cast(), ptr::null_mut(), ptr::null_mut())
    };
    if check(status).is_err() {
        return ptr::null_mut();
    }
    match std::panic::catch_unwind(|| body(env, values)) {
        Ok(Some(value)) => value.0,
        Ok(None) => ptr::null_mut(),
        Err(_) => {
            env.throw("Error", "a bug in tidewire: its native part panicked (the message is on standard error)");
            ptr::null_mut()
        }
    }
}

impl Env {
    /// For the calls that are made elsewhere: `doorbell`.
    pub fn raw(self) -> sys::napi_env {
        self.0
    }

    /// A string.
    pub fn string(self, text: &str) -> Value {
        // ASCII is Latin-1 as it is, and the cheaper way.
        if text.is_ascii() { self.latin1(text.as_bytes()) } else { self.utf8(text) }
    }

    /// As [`Env::string`], of what is known not to be ASCII.
    pub fn utf8(self, text: &str) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: the pointer and the length are those of `text`.
        unsafe { sys::napi_create_string_utf8(self.0, text.as_ptr().cast(), text.len() as isize, &raw mut value) };
        Value(value)
    }

    /// A string whose characters are these bytes.
    pub fn latin1(self, bytes: &[u8]) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: the pointer and the length are those of `bytes`.
        unsafe { sys::napi_create_string_latin1(self.0, bytes.as_ptr().cast(), bytes.len() as isize, &raw mut value) };
        Value(value)
    }

    /// A number.
    pub fn number(self, number: f64) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: writes one value.
        unsafe { sys::napi_create_double(self.0, number, &raw mut value) };
        Value(value)
    }

    /// A whole number: cheaper than any number.
    pub fn int(self, number: i32) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: writes one value.
        unsafe { sys::napi_create_int32(self.0, number, &raw mut value) };
        Value(value)
    }

    /// A whole number that is not negative.
    pub fn uint(self, number: u32) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: writes one value.
        unsafe { sys::napi_create_uint32(self.0, number, &raw mut value) };
        Value(value)
    }

    /// true or false.
    pub fn boolean(self, is: bool) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: writes one value.
        unsafe { sys::napi_get_boolean(self.0, is, &raw mut value) };
        Value(value)
    }

    /// undefined.
    pub fn undefined(self) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: writes one value.
        unsafe { sys::napi_get_undefined(self.0, &raw mut value) };
        Value(value)
    }

    /// A Buffer with memory of its own: its `.buffer` holds these bytes and nothing else.
    pub fn buffer(self, bytes: &[u8]) -> Value {
        let (mut value, mut data) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the pointer and the length are those of `bytes`, which are copied.
        unsafe { sys::napi_create_buffer_copy(self.0, bytes.len(), bytes.as_ptr().cast(), &raw mut data, &raw mut value) };
        Value(value)
    }

    /// An array of strings.
    pub fn strings<'a>(self, strings: impl IntoIterator<Item = &'a str>) -> Value {
        let mut array = ptr::null_mut();
        // SAFETY: writes one value.
        unsafe { sys::napi_create_array(self.0, &raw mut array) };
        for (index, text) in strings.into_iter().enumerate() {
            let text = self.string(text);
            // SAFETY: `array` was made above, `text` belongs to the same scope.
            unsafe { sys::napi_set_element(self.0, array, index as u32, text.0) };
        }
        Value(array)
    }

    /// Throws an error of a standard class into the JavaScript that called us.
    pub fn throw(self, class: &str, message: &str) {
        self.throw_code(class, message, None);
    }

    /// As [`Env::throw`], with a `code`.
    pub fn throw_code(self, class: &str, message: &str, code: Option<&str>) {
        let text = |text: &str| std::ffi::CString::new(text.replace('\0', " "));
        let (Ok(message), Ok(code)) = (text(message), code.map(text).transpose()) else { return };
        let code = code.as_ref().map_or(ptr::null(), |code| code.as_ptr());
        // SAFETY: both are C strings that live through the call, or there is no code.
        unsafe {
            match class {
                "TypeError" => sys::napi_throw_type_error(self.0, code, message.as_ptr()),
                "RangeError" => sys::napi_throw_range_error(self.0, code, message.as_ptr()),
                _ => sys::napi_throw_error(self.0, code, message.as_ptr()),
            }
        };
    }

    /// Hands an error to the process's uncaught-exception path.
    pub fn fatal(self, error: Value) {
        // SAFETY: `error` belongs to the current scope.
        unsafe { sys::napi_fatal_exception(self.0, error.0) };
    }

    /// Defines a function of ours on an object.
    pub fn define(self, exports: Value, name: &str, callback: Callback) {
        let mut function = ptr::null_mut();
        let Ok(name) = std::ffi::CString::new(name) else { return };
        // SAFETY: the name lives through both calls; the callback is a function of ours with Node's signature.
        unsafe {
            let callback = Some(callback);
            sys::napi_create_function(self.0, name.as_ptr(), -1, callback, ptr::null_mut(), &raw mut function);
            sys::napi_set_named_property(self.0, exports.0, name.as_ptr(), function);
        }
    }

    /// Runs with a scope of its own for values, as code must that Node.js has not called.
    pub fn scope<R>(self, run: impl FnOnce() -> R) -> R {
        let mut scope = ptr::null_mut();
        // SAFETY: opened and closed here, in order.
        unsafe { sys::napi_open_handle_scope(self.0, &raw mut scope) };
        let result = nested(|_| run());
        // SAFETY: as above.
        unsafe { sys::napi_close_handle_scope(self.0, scope) };
        result
    }

    /// As [`Env::scope`], for what makes many short calls of JavaScript, each through [`LongScope::call`].
    pub fn long_scope<R>(self, run: impl FnOnce(&Rc<LongScope>) -> R) -> R {
        let mut scope = ptr::null_mut();
        // SAFETY: opened here, and closed below unless it is renewed.
        unsafe { sys::napi_open_handle_scope(self.0, &raw mut scope) };
        let (result, last) = nested(|depth| {
            let long = Rc::new(LongScope { env: self, depth, scope: Cell::new(scope), spent: Cell::new(0) });
            (run(&long), long.scope.get())
        });
        // SAFETY: opened here or in `LongScope::renew`; whatever was opened within it is closed.
        unsafe { sys::napi_close_handle_scope(self.0, last) };
        result
    }

    /// Node's event loop.
    pub fn event_loop(self) -> *mut c_void {
        let mut event_loop = ptr::null_mut();
        // SAFETY: writes one pointer.
        unsafe { sys::napi_get_uv_event_loop(self.0, &raw mut event_loop) };
        event_loop.cast()
    }

    /// Has `hook` called when the environment ends; it must answer with [`CleanupHook::finish`] once it is done.
    pub fn at_end(
        self,
        hook: unsafe extern "C" fn(sys::napi_async_cleanup_hook_handle, *mut c_void),
        data: *mut c_void,
    ) -> CleanupHook {
        let mut handle = ptr::null_mut();
        // SAFETY: `hook` has the signature that Node.js calls; what `data` points to outlives the hook (the caller's promise,
        // kept in `uv`: it is freed after the hook is finished).
        unsafe { sys::napi_add_async_cleanup_hook(self.0, Some(hook), data, &raw mut handle) };
        CleanupHook(handle)
    }

    /// The data that the addon keeps for this environment.
    pub fn instance<T: 'static>(self) -> Option<&'static T> {
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: the only data ever set is that of `set_instance`, a leaked `T` of the one type that the addon uses; it
        // lives as long as the environment, and no reference to it leaves the call that asked.
        unsafe {
            sys::napi_get_instance_data(self.0, &raw mut data);
            data.cast::<T>().as_ref()
        }
    }

    /// Keeps data for this environment; dropped when it has ended, after all hooks of [`Env::at_end`] are finished.
    pub fn set_instance<T: 'static>(self, data: T) {
        let data = Box::into_raw(Box::new(data));
        // SAFETY: freed once, by `drop_instance`, which knows the type; if Node.js refuses it, it is leaked.
        unsafe { sys::napi_set_instance_data(self.0, data.cast(), Some(drop_instance::<T>), ptr::null_mut()) };
    }
}

thread_local! {
    /// How many scopes and calls of ours are under way, one within the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs something that is a scope, or a call of JavaScript; it is told how deep it is.
#[inline]
fn nested<R>(run: impl FnOnce(usize) -> R) -> R {
    let depth = DEPTH.get() + 1;
    DEPTH.set(depth);
    let result = run(depth);
    DEPTH.set(depth - 1);
    result
}

/// A scope that many calls share: opening one for each takes longer than making its arguments. It is renewed now and then, so that
/// what has been handed to JavaScript can be collected.
pub struct LongScope {
    env: Env,
    /// It is the innermost one when this is the depth.
    depth: usize,
    scope: Cell<sys::napi_handle_scope>,
    /// What its values hold, about, in bytes.
    spent: Cell<usize>,
}

impl LongScope {
    /// When it has spent this much it is renewed.
    const MOST: usize = 64 * 1024;
    /// What a call's values take besides their bytes.
    const CALL: usize = 1024;

    /// Runs with a scope for values that hold so many bytes.
    #[inline]
    pub fn call<R>(&self, bytes: usize, run: impl FnOnce() -> R) -> R {
        if DEPTH.get() != self.depth {
            // JavaScript has called us, or another scope is open.
            return self.env.scope(run);
        }
        let result = nested(|_| run());
        let spent = self.spent.get() + bytes + Self::CALL;
        self.spent.set(spent);
        if spent >= Self::MOST {
            self.renew();
        }
        result
    }

    fn renew(&self) {
        debug_assert_eq!(DEPTH.get(), self.depth, "it is the innermost one");
        let mut scope = ptr::null_mut();
        // SAFETY: it is the innermost scope, for every other one, and every call of JavaScript, is counted while it is under way. Its values
        // are those of calls that are over.
        unsafe {
            sys::napi_close_handle_scope(self.env.0, self.scope.get());
            sys::napi_open_handle_scope(self.env.0, &raw mut scope);
        }
        self.scope.set(scope);
        self.spent.set(0);
    }
}

/// Frees what [`Env::set_instance`] has kept.
///
/// # Safety
/// Node.js calls it once, with the data that was set, which is a boxed `T`.
unsafe extern "C" fn drop_instance<T>(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: as above; the calls that borrowed it have returned, for the environment is gone.
    drop(unsafe { Box::from_raw(data.cast::<T>()) });
}

/// A registered [`Env::at_end`].
pub struct CleanupHook(sys::napi_async_cleanup_hook_handle);

impl CleanupHook {
    /// The hook has done its work, or is not needed any more.
    pub fn finish(self) {
        // SAFETY: the handle came from Node.js and is given back once, because this takes `self`.
        unsafe { sys::napi_remove_async_cleanup_hook(self.0) };
    }
}

impl Value {
    /// As [`Env::raw`].
    pub fn raw(self) -> sys::napi_value {
        self.0
    }

    fn kind(self, env: Env) -> sys::napi_valuetype {
        let mut kind = sys::ValueType::napi_undefined;
        // SAFETY: reads one value.
        unsafe { sys::napi_typeof(env.0, self.0, &raw mut kind) };
        kind
    }

    /// A number, or 0.
    pub fn as_f64(self, env: Env) -> f64 {
        let mut number = 0.0;
        // SAFETY: reads one value; another type leaves the 0.
        unsafe { sys::napi_get_value_double(env.0, self.0, &raw mut number) };
        number
    }

    /// A whole number, or 0.
    pub fn as_u32(self, env: Env) -> u32 {
        let mut number = 0;
        // SAFETY: reads one value; another type leaves the 0.
        unsafe { sys::napi_get_value_uint32(env.0, self.0, &raw mut number) };
        number
    }

    /// Whether it is `undefined`.
    pub fn is_undefined(self, env: Env) -> bool {
        self.kind(env) == sys::ValueType::napi_undefined
    }

    /// Whether it is `true`.
    pub fn is_true(self, env: Env) -> bool {
        let mut is = false;
        // SAFETY: reads one value; another type leaves `false`.
        unsafe { sys::napi_get_value_bool(env.0, self.0, &raw mut is) };
        is
    }

    /// Calls `with` with the bytes of a string, which are UTF-8: a lone surrogate has become U+FFFD. `None` when it is no string.
    /// `scratch` saves an allocation.
    pub fn with_text<R>(self, env: Env, scratch: &mut Vec<u8>, with: impl FnOnce(&[u8]) -> R) -> Option<R> {
        scratch.resize(scratch.capacity().max(4096), 0);
        let mut length = 0;
        // SAFETY: at most `scratch.len()` bytes are written, the closing zero included.
        let status = unsafe {
            sys::napi_get_value_string_utf8(env.0, self.0, scratch.as_mut_ptr().cast(), scratch.len(), &raw mut length)
        };
        check(status).ok()?;
        // Node.js stops before a character that does not fit: near the end there may be more.
        if length + 4 >= scratch.len() {
            // SAFETY: without a buffer it only tells the length.
            unsafe { sys::napi_get_value_string_utf8(env.0, self.0, ptr::null_mut(), 0, &raw mut length) };
            scratch.resize(length + 1, 0);
            // SAFETY: as above.
            unsafe {
                sys::napi_get_value_string_utf8(env.0, self.0, scratch.as_mut_ptr().cast(), scratch.len(), &raw mut length)
            };
        }
        Some(with(&scratch[..length]))
    }

    /// A string, or `None`.
    pub fn as_string(self, env: Env) -> Option<String> {
        // A copy, for it may be kept, and the scratch is larger than most strings.
        self.with_text(env, &mut Vec::new(), |text| String::from_utf8(text.to_vec()).ok())?
    }

    /// Calls `with` with the bytes of a Buffer or Uint8Array; `None` when it is something else, or detached.
    pub fn with_bytes<R>(self, env: Env, with: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (mut data, mut length, mut is) = (ptr::null_mut(), 0, false);
        // SAFETY: reads one value. Asking anything else for its bytes would end the process.
        unsafe { sys::napi_is_buffer(env.0, self.0, &raw mut is) };
        if !is {
            return None;
        }
        // SAFETY: writes a pointer and a length.
        let status = unsafe { sys::napi_get_buffer_info(env.0, self.0, &raw mut data, &raw mut length) };
        check(status).ok()?;
        if data.is_null() || length == 0 {
            return Some(with(&[]));
        }
        // SAFETY: Node.js says that `length` bytes are there; they stay while we are called, because JavaScript does not run
        // before `with` has returned (it copies or sends them).
        Some(with(unsafe { std::slice::from_raw_parts(data.cast(), length) }))
    }

    /// Where the bytes of a Uint8Array are, and how many; `None` when it is something else, or detached. They are JavaScript's: they
    /// stay until it runs again, and as long as the view is kept, and do not move any more.
    pub fn typed_array(self, env: Env) -> Option<(*mut u8, usize)> {
        let (mut kind, mut length, mut data, none) = (0, 0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: the call writes what it is asked for, or fails on another type.
        let status = unsafe {
            let no_offset = ptr::null_mut();
            sys::napi_get_typedarray_info(env.0, self.0, &raw mut kind, &raw mut length, &raw mut data, none, no_offset)
        };
        check(status).ok()?;
        (kind == sys::TypedarrayType::uint8_array && !data.is_null()).then_some((data.cast(), length))
    }

    /// The elements of an array; none of anything else.
    pub fn elements(self, env: Env) -> Vec<Self> {
        let mut count = 0;
        // SAFETY: reads one value; another type leaves the 0.
        unsafe { sys::napi_get_array_length(env.0, self.0, &raw mut count) };
        let element = |index| {
            let mut element = ptr::null_mut();
            // SAFETY: the index is within the array.
            check(unsafe { sys::napi_get_element(env.0, self.0, index, &raw mut element) }).ok()?;
            Some(Self(element))
        };
        (0..count).map_while(element).collect()
    }

    /// The strings of an array; `None` when something else is in it.
    pub fn as_strings(self, env: Env) -> Option<Vec<String>> {
        self.elements(env).into_iter().map(|element| element.as_string(env)).collect()
    }

    /// A property of an object, or `undefined`. (Asking what is no object would throw.)
    pub fn property(self, env: Env, name: &str) -> Self {
        if self.kind(env) != sys::ValueType::napi_object {
            return env.undefined();
        }
        let Ok(name) = std::ffi::CString::new(name) else { return env.undefined() };
        let mut value = ptr::null_mut();
        // SAFETY: the name lives through the call, which writes one value.
        let status = unsafe { sys::napi_get_named_property(env.0, self.0, name.as_ptr(), &raw mut value) };
        if check(status).is_ok() { Self(value) } else { env.undefined() }
    }

    /// A property that is a function, kept alive; `None` when it is something else.
    pub fn function(self, env: Env, name: &str) -> Option<Function> {
        let value = self.property(env, name);
        if value.kind(env) != sys::ValueType::napi_function {
            return None;
        }
        let mut reference = ptr::null_mut();
        // SAFETY: the value is of this scope; the call writes one reference.
        check(unsafe { sys::napi_create_reference(env.0, value.0, 1, &raw mut reference) }).ok()?;
        Some(Function { env, reference })
    }
}

impl Function {
    /// Calls it as an event of its own: when no JavaScript is running, microtasks and nextTick callbacks run after it, before
    /// the next event. What it throws goes to the uncaught-exception path.
    pub fn call(&self, arguments: &[Value]) {
        let env = self.env;
        let (mut function, mut global, mut result) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the reference is held by `self`; the arguments belong to the current scope, and `Value` has the layout of a
        // `napi_value`.
        let status = nested(|_| unsafe {
            sys::napi_get_reference_value(env.0, self.reference, &raw mut function);
            sys::napi_get_global(env.0, &raw mut global);
            let (count, values) = (arguments.len(), arguments.as_ptr().cast());
            sys::napi_make_callback(env.0, ptr::null_mut(), global, function, count, values, &raw mut result)
        });
        if status == sys::Status::napi_pending_exception {
            let mut error = ptr::null_mut();
            // SAFETY: takes the exception that is pending.
            unsafe { sys::napi_get_and_clear_last_exception(env.0, &raw mut error) };
            env.fatal(Value(error));
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // SAFETY: made by `function`, deleted once, while the environment lives: `JsApplication::silence` drops what is left.
        unsafe { sys::napi_delete_reference(self.env.0, self.reference) };
    }
}

/// Called by Node.js when it loads the addon.
///
/// # Safety
/// Only Node.js calls this, with a live environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(env: sys::napi_env, exports: sys::napi_value) -> sys::napi_value {
    static LOADED: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    // SAFETY: finds Node-API in the process that has loaded us; the library is the process itself and stays.
    LOADED.get_or_init(|| std::mem::forget(unsafe { sys::setup() }));
    crate::calls::register(Env(env), Value(exports));
    exports
}
