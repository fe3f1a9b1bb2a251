//! DEFLATE (RFC 1951) for a message by itself, in one call.
//!
//! A streaming compressor must be able to be called again at any byte: it copies what it is given into a window, clears its tables
//! before each message, and builds codes for blocks of whatever size comes. For a message of a few hundred bytes that is most of its
//! time. This one has the whole message before it: the message is the window, its table of positions is never cleared, because what is
//! older than the message is recognised by its number, and the codes are built for the few symbols that there are.
//!
//! | step | where |
//! |---|---|
//! | bytes to literals and matches, counted | `matches` |
//! | counts to code lengths, lengths to codes | `huffman` |
//! | which kind of block is the shortest, and the block | `block` |

mod bits;
mod block;
mod huffman;
mod matches;
#[cfg(test)]
mod tests;

use self::bits::Bits;
use self::block::Plan;
use self::matches::Matches;
use super::codec::{Progress, RawDeflate, Stream};

/// Compresses messages of up to [`Whole::MAX_INPUT`] bytes, each by itself.
pub(super) struct Whole {
    matches: Matches,
    plan: Plan,
}

impl Whole {
    /// The longest message, which also fits into one stored block.
    pub const MAX_INPUT: usize = matches::MAX_INPUT;

    /// How much longer than the message the output has to be: the heads of two stored blocks, and the word that is written at once.
    const MARGIN: usize = 2 * 5 + 8;

    /// A compressor whose matches are no farther back than a window of 2^`window_bits` bytes.
    pub fn new(window_bits: u8) -> Self {
        Self { matches: Matches::new(1 << window_bits), plan: Plan::new() }
    }
}

impl RawDeflate for Whole {
    /// Nothing is kept.
    fn reset(&mut self) {}

    /// All in one call: longer input, or an output without room for the input and a little more, are [`Stream::Broken`].
    fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        if input.len() > Self::MAX_INPUT || output.len() < input.len() + Self::MARGIN {
            return Progress { used: 0, made: 0, stream: Stream::Broken };
        }
        self.matches.find(input);
        let mut bits = self.plan.write(&self.matches, input, Bits::new(output));
        // A sync flush: an empty stored block, which ends at a byte.
        bits.stored(&[]);
        Progress { used: input.len(), made: bits.len(), stream: Stream::Open }
    }
}
