//! What is fuzzed: functions of bytes that panic when something does not hold that must hold for any bytes.
//!
//! The fuzzer (`tests/fuzz`, run by `cargo xtask fuzz`) calls them with bytes that it breeds; `tests/seeds.rs` calls them with the
//! seeds, in every test run. Neither knows more of a target than its name and its function.

mod deflate;
mod engine;
mod extension;
mod frame;
mod handshake;
mod model;
mod receive;

/// Something that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its program, and of its folder of seeds.
    pub name: &'static str,
    /// What holds for any bytes; a panic says what does not.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target { name: "frame", run: frame::run },
    Target { name: "handshake", run: handshake::run },
    Target { name: "extension", run: extension::run },
    Target { name: "deflate", run: deflate::run },
    Target { name: "receive", run: receive::run },
    Target { name: "engine", run: engine::run },
];

pub use deflate::run as deflate;
pub use engine::run as engine;
pub use extension::run as extension;
pub use frame::run as frame;
pub use handshake::run as handshake;
pub use receive::run as receive;

/// The fuzzer's bytes, taken from the front: choices first, then what is chosen from. At the end there are zeros and nothing, so
/// that any bytes are an input.
#[derive(Debug, Clone, Copy)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A number below `end`, which is at most 256.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// As many bytes, or what is left.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes with their length before them.
    fn chunk(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte());
        self.take(count)
    }

    /// What is left.
    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// The bits of a byte, one choice each.
#[derive(Debug, Clone, Copy)]
struct Flags(u8);

impl Flags {
    fn next(&mut self) -> bool {
        let set = self.0 & 1 != 0;
        self.0 >>= 1;
        set
    }

    /// A number below a power of two.
    fn below(&mut self, end: u8) -> u8 {
        let value = self.0 % end;
        self.0 /= end;
        value
    }
}
