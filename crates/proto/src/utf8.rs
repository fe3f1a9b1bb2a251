//! UTF-8 that arrives in pieces (RFC 6455, section 8.1), judged at the offending byte.

/// Text, gathered from pieces that may end within a character.
///
/// What is complete and valid is in `text`; at most three bytes of a character that has not arrived whole wait in `tail`.
/// So every byte is validated once and the finished message needs no second look.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    text: String,
    tail: [u8; 3],
    tail_len: u8,
}

/// Bytes that no continuation can turn into UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Gathered {
    /// How many bytes have arrived.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.tail_len)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for `additional` more bytes and not for more.
    pub(crate) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(additional + usize::from(self.tail_len));
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Invalid> {
        let rest = self.complete_tail(piece)?;
        let (whole, cut) = rest.split_at(rest.len() - unfinished(rest));
        self.text.push_str(validate(whole).ok_or(Invalid)?);
        if cut.is_empty() {
            return Ok(());
        }
        self.keep_tail(cut)
    }

    /// The text, when it does not end within a character.
    pub(crate) fn finish(self) -> Result<String, Invalid> {
        if self.tail_len == 0 { Ok(self.text) } else { Err(Invalid) }
    }

    /// Completes the character that the last piece cut, and gives what follows it.
    fn complete_tail<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Invalid> {
        let have = usize::from(self.tail_len);
        if have == 0 {
            return Ok(piece);
        }
        let (head, rest) = piece.split_at(piece.len().min(width(self.tail[0]) - have));
        let mut character = [0; 4];
        let len = have + head.len();
        character[..have].copy_from_slice(&self.tail[..have]);
        character[have..len].copy_from_slice(head);
        match std::str::from_utf8(&character[..len]) {
            Ok(whole) => {
                self.text.push_str(whole);
                self.tail_len = 0;
            }
            Err(_) => self.keep_tail(&character[..len])?,
        }
        Ok(rest)
    }

    /// Keeps the beginning of a character, if it can still become one.
    fn keep_tail(&mut self, cut: &[u8]) -> Result<(), Invalid> {
        match std::str::from_utf8(cut) {
            // No error length: the bytes so far are right and end too early.
            Err(error) if error.error_len().is_none() && error.valid_up_to() == 0 => {
                self.tail[..cut.len()].copy_from_slice(cut);
                self.tail_len = cut.len() as u8;
                Ok(())
            }
            _ => Err(Invalid),
        }
    }
}

/// The bytes as text, if they are UTF-8.
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// How many bytes a character takes that begins with this byte; 1 for a byte that begins none.
const fn width(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
        _ => 1,
    }
}

/// How many bytes at the end belong to a character that needs more; 0 to 3.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3).position(|&byte| byte & 0xC0 != 0x80);
    match last {
        Some(back) if width(bytes[bytes.len() - 1 - back]) > back + 1 => back + 1,
        _ => 0,
    }
}
