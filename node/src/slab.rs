//! Memory that JavaScript sees too: small payloads go through it, in both directions. To make a small view's bytes reachable for us,
//! V8 would have to move them off its heap first, and to make one here costs ten times what it costs there.
//!
//! | bytes | what is there | who writes it |
//! |---|---|---|
//! | 0..4 | how many bytes of replies there are | JavaScript adds, we take |
//! | 4..8 | how many there may be | we |
//! | 8..12 | how many messages of the run are handled | JavaScript |
//! | [`INPUT`] | received payloads, of the event that is handled or of a run | we |
//! | [`SCRATCH`] | a payload that is sent | JavaScript |
//! | [`REPLIES`] | replies: see [`Reply`] | JavaScript |
//!
//! `lib/data.cjs` and `lib/run.cjs` know the same places.

use std::cell::Cell;
use std::ops::Range;
use std::ptr;

use napi_sys as sys;

use crate::napi::{Env, Value};

const LENGTH: usize = 8192;
const INPUT: Range<usize> = 64..2112;
const SCRATCH: Range<usize> = 2112..3136;
const REPLIES: Range<usize> = 4096..8192;

pub struct Slab {
    data: *mut u8,
    /// What [`Slab::lend`] lends now.
    lent: Cell<Option<ptr::NonNull<[u8]>>>,
    /// The view is never let go of: it lives as long as the environment.
    _kept: sys::napi_ref,
}

/// A short message that JavaScript has sent while it handles a run. Its length and its kind (1: binary) are in two bytes before it, and
/// four more behind it are left out, so that replies take as much room here as their frames do in an outbox.
pub struct Reply<'a> {
    pub binary: bool,
    pub bytes: &'a [u8],
}

impl Slab {
    /// The memory of a Uint8Array of JavaScript's; `None` when it is something else, too short, or lives on V8's heap.
    pub fn of(env: Env, view: Value) -> Option<Self> {
        let (data, length) = view.typed_array(env)?;
        let mut kept = ptr::null_mut();
        // SAFETY: the view is of this scope; the call writes one reference.
        let status = unsafe { sys::napi_create_reference(env.raw(), view.raw(), 1, &raw mut kept) };
        let is = status == sys::Status::napi_ok && length >= LENGTH;
        is.then_some(Self { data, lent: Cell::default(), _kept: kept })
    }

    fn word(&self, index: usize) -> &Cell<u32> {
        assert!(index < INPUT.start / size_of::<u32>());
        // SAFETY: within the memory that the reference keeps alive. What JavaScript allocates is aligned for every element, and
        // nobody else has more than a `Cell` of these words.
        unsafe { &*self.data.cast::<Cell<u32>>().add(index) }
    }

    /// Calls `with` with a part of it; `with` must not call JavaScript.
    fn read<R>(&self, area: Range<usize>, with: impl FnOnce(&[u8]) -> R) -> R {
        assert!(area.start <= area.end && area.end <= LENGTH);
        // SAFETY: within the memory that the reference keeps alive; nobody writes it before `with` has returned, because no
        // JavaScript runs until then, and `write` is only called with what is not from here.
        with(unsafe { std::slice::from_raw_parts(self.data.add(area.start), area.len()) })
    }

    /// Puts a received payload where JavaScript reads it, behind the first `before` bytes; `false` when there is no room.
    pub fn write(&self, before: usize, bytes: &[u8]) -> bool {
        if before + bytes.len() > INPUT.len() {
            return false;
        }
        // SAFETY: there is room, in memory that the reference keeps alive; nothing else is borrowed from it, for `read` is over before
        // an event is written. `bytes` are the engine's, so they do not overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.data.add(INPUT.start + before), bytes.len()) };
        true
    }

    /// While `run` calls JavaScript, [`Slab::fill`] gives it these bytes.
    pub fn lend<R>(&self, bytes: &[u8], run: impl FnOnce() -> R) -> R {
        let before = self.lent.replace(Some(ptr::NonNull::from(bytes)));
        let result = run();
        self.lent.set(before);
        result
    }

    /// Copies into a Uint8Array of JavaScript's, as much as there is room for: what is lent now, else what was written, from `from` on.
    pub fn fill(&self, env: Env, view: Value, from: usize) {
        let Some((data, length)) = view.typed_array(env) else { return };
        let copy = |bytes: &[u8]| {
            let bytes = bytes.get(from..).unwrap_or_default();
            // SAFETY: so many bytes are there. The view is not the slab, which JavaScript does not pass, and what is lent is the
            // engine's: they do not overlap.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len().min(length)) };
        };
        match self.lent.get() {
            // SAFETY: borrowed by the call of `lend` that is under way.
            Some(lent) => copy(unsafe { lent.as_ref() }),
            None => self.read(INPUT, copy),
        }
    }

    /// Calls `with` with the first bytes of what JavaScript has put there to be sent; it must not call JavaScript.
    pub fn with_scratch<R>(&self, length: usize, with: impl FnOnce(&[u8]) -> R) -> R {
        self.read(SCRATCH.start..SCRATCH.start + length.min(SCRATCH.len()), with)
    }

    /// Says how many bytes of replies there may be.
    pub fn set_room(&self, room: usize) {
        self.word(1).set(room.min(REPLIES.len()) as u32);
    }

    /// How many messages of a run JavaScript has handled since it was asked last. It is not an answer, because there is none when
    /// something throws that waited for the end of the call.
    pub fn take_handled(&self) -> usize {
        self.word(2).replace(0) as usize
    }

    /// Takes the replies; `with` must not call JavaScript.
    pub fn take_replies(&self, mut with: impl FnMut(Reply<'_>)) {
        let used = self.word(0).replace(0) as usize;
        if used == 0 {
            return;
        }
        self.read(REPLIES.start..REPLIES.start + used.min(REPLIES.len()), |mut rest| {
            while let [length, kind, after @ ..] = rest {
                let length = usize::from(*length).min(after.len());
                with(Reply { binary: *kind == 1, bytes: &after[..length] });
                rest = after.get(length + 4..).unwrap_or_default();
            }
        });
    }
}
