//! Receive buffers: large, few, and owned by the worker; a socket at rest has none.

use std::ops::{Deref, DerefMut};

/// A buffer with the bytes of one receive. Its contents are the first [`len`](slice::len) bytes.
///
/// The storage is zeroed once when it is made and reused; only what was received is visible.
#[derive(Debug, Default)]
pub struct Buffer {
    storage: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// A buffer that can take `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { storage: vec![0; capacity], filled: 0 }
    }

    /// The whole storage, to receive into; say afterwards how much with [`Buffer::set_filled`].
    pub fn storage(&mut self) -> &mut [u8] {
        &mut self.storage
    }

    /// Makes the first `filled` bytes of the storage the contents.
    ///
    /// # Panics
    /// When the storage is smaller.
    pub fn set_filled(&mut self, filled: usize) {
        assert!(filled <= self.storage.len(), "a receive cannot be larger than its buffer");
        self.filled = filled;
    }

    /// How many bytes a receive can bring at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[..self.filled]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[..self.filled]
    }
}

/// Buffers that wait to be used again. It keeps at most [`Pool::KEPT`]; more are freed when they come back.
#[derive(Debug)]
pub struct Pool {
    size: usize,
    free: Vec<Buffer>,
}

impl Pool {
    /// How many unused buffers are kept.
    pub const KEPT: usize = 4;

    /// A pool of buffers of `size` bytes.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self { size, free: Vec::new() }
    }

    /// An empty buffer.
    pub fn take(&mut self) -> Buffer {
        self.free.pop().unwrap_or_else(|| Buffer::with_capacity(self.size))
    }

    /// Returns a buffer.
    pub fn put(&mut self, mut buffer: Buffer) {
        if self.free.len() < Self::KEPT && buffer.capacity() == self.size {
            buffer.filled = 0;
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_comes_back_empty() {
        let mut pool = Pool::new(8);
        let mut buffer = pool.take();
        buffer.storage()[..3].copy_from_slice(b"abc");
        buffer.set_filled(3);
        assert_eq!(&*buffer, b"abc");
        pool.put(buffer);
        assert!(pool.take().is_empty());
    }

    #[test]
    fn the_pool_keeps_few() {
        let mut pool = Pool::new(8);
        let many: Vec<_> = (0..10).map(|_| pool.take()).collect();
        many.into_iter().for_each(|buffer| pool.put(buffer));
        assert_eq!(pool.free.len(), Pool::KEPT);
    }
}
