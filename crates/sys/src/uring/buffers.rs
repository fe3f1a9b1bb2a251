//! Receive buffers that the kernel takes as it needs them: the provided buffer ring.
//!
//! A buffer is the kernel's or the engine's, never both. While it is the kernel's it lies in `lent`, and nobody looks at it; when
//! something was received into it, it is moved out, as an ordinary [`Buffer`], and the kernel has forgotten it. What the
//! engine gives back is lent again. So a buffer that never comes back is only memory, and is replaced.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::ring::Ring;
use crate::buffer::Buffer;

/// How many bytes a receive takes at most.
pub(super) const SIZE: usize = 32 * 1024;
/// How many buffers are lent at first.
const FEW: u16 = 16;
/// How many are lent at most, so that a worker has 8 MiB of them.
const MANY: u16 = 256;
/// How many are kept beyond those that are lent.
const SPARE: usize = 4;

const LAYOUT: Layout = match Layout::from_size_align(MANY as usize * size_of::<BufRingEntry>(), 4096) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

pub(super) struct Buffers {
    /// The ring that the kernel reads: [`MANY`] entries.
    entries: NonNull<BufRingEntry>,
    tail: u16,
    /// What the kernel has, by the number under which it was lent.
    lent: Vec<Option<Buffer>>,
    /// Numbers under which nothing is lent.
    vacant: Vec<u16>,
    spare: Vec<Buffer>,
    /// How many are to be lent: more, once the kernel has run out of them.
    wanted: u16,
}

// SAFETY: the entries are this value's own memory, like a box's; the pointer is not shared with anything in this process.
unsafe impl Send for Buffers {}

impl Buffers {
    /// Registers a ring of buffers.
    ///
    /// # Safety
    /// It outlives the ring.
    pub(super) unsafe fn new(ring: &Ring) -> io::Result<Self> {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(LAYOUT) };
        let Some(entries) = NonNull::new(memory.cast::<BufRingEntry>()) else { handle_alloc_error(LAYOUT) };
        let vacant = (0..MANY).rev().collect();
        let lent = std::iter::repeat_with(|| None).take(MANY.into()).collect();
        let mut buffers = Self { entries, tail: 0, lent, vacant, spare: Vec::new(), wanted: FEW };
        // SAFETY: the entries are page-aligned and, as the caller promises, outlive the ring; so does what is lent, because it is
        // given up in `taken` only.
        unsafe { ring.register_buffers(entries.as_ptr() as u64, MANY) }?;
        buffers.top_up();
        Ok(buffers)
    }

    /// Lends as many as there shall be.
    pub(super) fn top_up(&mut self) {
        while self.lent() < self.wanted {
            let buffer = self.take();
            self.lend(buffer);
        }
    }

    /// The kernel ran out of buffers: there shall be more of them.
    pub(super) fn ran_out(&mut self) {
        self.wanted = (self.wanted * 2).min(MANY);
    }

    fn lent(&self) -> u16 {
        MANY - self.vacant.len() as u16
    }

    /// A buffer for a receive of one's own.
    pub(super) fn take(&mut self) -> Buffer {
        self.spare.pop().unwrap_or_else(|| Buffer::with_capacity(SIZE))
    }

    /// The buffer that the kernel has received so many bytes into. `None`: it does not have that one, which no kernel says.
    pub(super) fn taken(&mut self, number: u16, bytes: usize) -> Option<Buffer> {
        let mut buffer = self.lent.get_mut(usize::from(number))?.take()?;
        self.vacant.push(number);
        buffer.set_filled(bytes.min(SIZE));
        Some(buffer)
    }

    /// Takes a buffer back, for the kernel if that has too few.
    pub(super) fn give_back(&mut self, mut buffer: Buffer) {
        if buffer.capacity() != SIZE {
            return;
        }
        buffer.set_filled(0);
        if self.lent() < self.wanted {
            self.lend(buffer);
        } else if self.spare.len() < SPARE {
            self.spare.push(buffer);
        }
    }

    fn lend(&mut self, mut buffer: Buffer) {
        let Some(number) = self.vacant.pop() else { return };
        let place = usize::from(self.tail % MANY);
        // SAFETY: the place is within the ring, whose memory is ours and zeroed, which is a valid entry. The kernel reads entries
        // before the tail only, and this one is not yet.
        let entry = unsafe { &mut *self.entries.as_ptr().add(place) };
        entry.set_addr(buffer.storage().as_mut_ptr() as u64);
        entry.set_len(SIZE as u32);
        entry.set_bid(number);
        self.lent[usize::from(number)] = Some(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the address of the first entry of a ring, as is asked for; the tail lies in a field that the entry does not use,
        // is aligned for its type, and written only here and always atomically.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout. The ring is gone, and without it the kernel reads no entry.
        unsafe { dealloc(self.entries.as_ptr().cast(), LAYOUT) };
    }
}
