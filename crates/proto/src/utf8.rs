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

/// How much of the beginning is whole characters of valid text, when the rest can still become one.
#[cfg(feature = "deflate")]
pub(crate) fn hopeful(bytes: &[u8]) -> Result<usize, Invalid> {
    let (whole, cut) = bytes.split_at(bytes.len() - unfinished(bytes));
    validate(whole).ok_or(Invalid)?;
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_some() => Err(Invalid),
        _ => Ok(whole.len()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds of every range that the table of well-formed sequences names (Unicode, table 3-7), and their neighbours.
    const BYTES: [u8; 25] = [
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0,
        0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ];

    /// Whether more bytes could make this UTF-8, and whether it is already.
    fn standing(bytes: &[u8]) -> (bool, bool) {
        match std::str::from_utf8(bytes) {
            Ok(_) => (true, true),
            Err(error) => (error.error_len().is_none(), false),
        }
    }

    fn push_all(pieces: &[&[u8]]) -> Result<Gathered, Invalid> {
        let mut gathered = Gathered::default();
        for piece in pieces {
            gathered.push(piece)?;
        }
        Ok(gathered)
    }

    #[test]
    fn every_sequence_of_four_at_every_cut_is_judged_as_the_standard_library_does() {
        for index in 0..BYTES.len().pow(4) {
            let bytes = [0, 1, 2, 3].map(|place| BYTES[index / BYTES.len().pow(place) % BYTES.len()]);
            let (hopeful, whole) = standing(&bytes);
            for cut in 0..=4 {
                let (a, b) = bytes.split_at(cut);
                let gathered = push_all(&[a, b]);
                assert_eq!(gathered.is_ok(), hopeful, "{bytes:02x?} at {cut}");
                assert_eq!(push_all(&[a]).is_ok(), standing(a).0, "{a:02x?} by itself");
                let text = gathered.and_then(Gathered::finish);
                assert_eq!(text.is_ok_and(|text| text.as_bytes() == bytes), whole, "{bytes:02x?} at {cut}");
            }
        }
    }

    #[test]
    fn bytes_one_by_one_fail_where_the_standard_library_does() {
        for index in 0..BYTES.len().pow(3) {
            let triple = [0, 1, 2].map(|place| BYTES[index / BYTES.len().pow(place) % BYTES.len()]);
            // Long enough for the vectorised validator, and not at a multiple of its block.
            let bytes = [&b"0123456789".repeat(7)[..], &triple, "ü水𝒳".as_bytes()].concat();
            let mut gathered = Gathered::default();
            for end in 1..=bytes.len() {
                let hopeful = gathered.push(&bytes[end - 1..end]).is_ok();
                assert_eq!(hopeful, standing(&bytes[..end]).0, "{triple:02x?}, {end} bytes");
                if !hopeful {
                    break;
                }
                assert_eq!(gathered.len(), end);
            }
        }
    }

    #[test]
    fn text_that_ends_within_a_character_is_not_text() {
        for cut in [&b"\xc3"[..], b"\xe6\xb0", b"\xf0\x9d\x92"] {
            assert_eq!(push_all(&[b"abc", cut]).and_then(Gathered::finish), Err(Invalid));
        }
    }
}
