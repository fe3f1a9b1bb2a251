//! Looks at requests before hyper does, for what two programs read in two ways: who hides one request in another needs that
//! (RFC 9112, section 11.2). It follows heads and bodies, each byte once, and copies only a header line that is cut.

/// What hyper is given in place of what is refused: no request line, no header and no chunk may have it, so wherever hyper is,
/// it answers 400 in its turn, behind the responses that are due, and ends the connection.
pub(crate) const REFUSED: &[u8] = b"\0\r\n\r\n";

/// Follows the requests of one connection.
#[derive(Debug)]
pub(crate) struct Guard {
    place: Place,
    head: Head,
    /// The beginning of a line that has not come whole.
    line: Vec<u8>,
    /// The longest line that is kept; hyper refuses a longer one for its size.
    longest: usize,
}

/// Where in a request the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the request line, or before it.
    Start,
    /// In the lines behind it.
    Headers,
    /// In a body, with so many bytes to come.
    Body(u64),
    Chunks(Chunk),
    /// What comes need not be HTTP, or will be refused by hyper anyway.
    Anything,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In its first line: its size so far, and whether a digit has come and the number is over.
    Size(u64, Digits),
    Data(u64),
    /// The line end behind the data.
    End,
    /// In the lines behind the last chunk; how long this one is.
    Trailer(usize),
    /// A CR has come: behind it must be LF, and then this place.
    LineFeed(Behind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    None,
    Some,
    /// What follows is an extension.
    Over,
}

/// What is behind a line end among chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Data(u64),
    Size,
    Trailer,
    Request,
}

/// What the lines of a head have said.
#[derive(Debug, Default)]
struct Head {
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    /// HTTP/1.0 or older, which knows no transfer coding.
    old: bool,
    upgrade: bool,
}

/// It is not passed on: what is good ends before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Guard {
    pub fn new(longest: usize) -> Self {
        Self { place: Place::Start, head: Head::default(), line: Vec::new(), longest }
    }

    /// Follows the next bytes; how many of them may be passed on, and whether the rest is refused. After that, nothing counts.
    pub fn follow(&mut self, bytes: &[u8]) -> (usize, Result<(), Refused>) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let step = match self.place {
                Place::Start | Place::Headers => self.line(rest),
                Place::Body(left) => Ok(self.body(left, rest.len())),
                Place::Chunks(chunk) => self.chunk(chunk, rest),
                Place::Anything => return (bytes.len(), Ok(())),
            };
            match step {
                Ok(step) => at += step,
                Err(Refused) => {
                    self.place = Place::Anything;
                    self.line = Vec::new();
                    return (at, Err(Refused));
                }
            }
        }
        (at, Ok(()))
    }

    /// A line of a head, or as much of it as there is. Both of its ends are judged: that it begins with no blank, and that its LF
    /// follows a CR, the only one.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Refused> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let piece = &rest[..end.map_or(rest.len(), |end| end + 1)];
        if self.line.is_empty() && self.place == Place::Headers && matches!(piece[0], b' ' | b'\t') {
            return Err(Refused);
        }
        if self.line.len() + piece.len() > self.longest {
            self.place = Place::Anything;
            self.line = Vec::new();
            return Ok(piece.len());
        }
        if end.is_none() {
            // A CR that is last may yet be followed by its LF.
            let whole = piece.len() - usize::from(piece.ends_with(b"\r"));
            if self.line.ends_with(b"\r") || piece[..whole].contains(&b'\r') {
                return Err(Refused);
            }
            self.line.extend_from_slice(piece);
            return Ok(piece.len());
        }
        if self.line.is_empty() {
            self.whole_line(piece)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            self.whole_line(&line)?;
        }
        Ok(piece.len())
    }

    /// A line with its end.
    fn whole_line(&mut self, line: &[u8]) -> Result<(), Refused> {
        let line = line.strip_suffix(b"\r\n").filter(|line| !line.contains(&b'\r')).ok_or(Refused)?;
        match (self.place, line) {
            // Empty lines before a request are no part of it (RFC 9112, section 2.2).
            (Place::Start, []) => Ok(()),
            (Place::Start, line) => {
                self.head = Head { old: line.ends_with(b" HTTP/1.0"), ..Head::default() };
                self.place = Place::Headers;
                Ok(())
            }
            (_, []) => self.head_ends(),
            (_, line) => self.head.header(line),
        }
    }

    /// What is behind this head.
    fn head_ends(&mut self) -> Result<(), Refused> {
        let head = std::mem::take(&mut self.head);
        if head.coded && (!head.chunked || head.length.is_some() || head.old) {
            return Err(Refused);
        }
        self.place = match (head.upgrade, head.chunked, head.length) {
            (true, _, _) => Place::Anything,
            (false, true, _) => Place::Chunks(Chunk::Size(0, Digits::None)),
            (false, false, length) => Place::behind_body(length.unwrap_or(0)),
        };
        Ok(())
    }

    fn body(&mut self, left: u64, available: usize) -> usize {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        self.place = Place::behind_body(left - step as u64);
        step
    }

    fn chunk(&mut self, chunk: Chunk, rest: &[u8]) -> Result<usize, Refused> {
        let byte = rest[0];
        let next = match chunk {
            Chunk::Data(left) => {
                let step = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let left = left - step as u64;
                self.place = Place::Chunks(if left == 0 { Chunk::End } else { Chunk::Data(left) });
                return Ok(step);
            }
            Chunk::Size(size, digits) => size_line(size, digits, byte)?,
            Chunk::End if byte == b'\r' => Chunk::LineFeed(Behind::Size),
            Chunk::End => return Err(Refused),
            Chunk::Trailer(length) => match byte {
                b'\r' if length == 0 => Chunk::LineFeed(Behind::Request),
                b'\r' => Chunk::LineFeed(Behind::Trailer),
                b'\n' => return Err(Refused),
                b' ' | b'\t' if length == 0 => return Err(Refused),
                _ => Chunk::Trailer(length.saturating_add(1)),
            },
            Chunk::LineFeed(_) if byte != b'\n' => return Err(Refused),
            Chunk::LineFeed(Behind::Data(0)) | Chunk::LineFeed(Behind::Trailer) => Chunk::Trailer(0),
            Chunk::LineFeed(Behind::Data(size)) => Chunk::Data(size),
            Chunk::LineFeed(Behind::Size) => Chunk::Size(0, Digits::None),
            Chunk::LineFeed(Behind::Request) => {
                self.place = Place::Start;
                return Ok(1);
            }
        };
        self.place = Place::Chunks(next);
        Ok(1)
    }
}

/// The next byte of a chunk's first line.
fn size_line(size: u64, digits: Digits, byte: u8) -> Result<Chunk, Refused> {
    let digit = char::from(byte).to_digit(16).map(u64::from);
    match (digits, byte, digit) {
        (Digits::None, _, None) | (_, b'\n', _) => Err(Refused),
        (_, b'\r', _) => Ok(Chunk::LineFeed(Behind::Data(size))),
        (Digits::None | Digits::Some, _, Some(digit)) => {
            let size = size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Refused)?;
            Ok(Chunk::Size(size, Digits::Some))
        }
        (Digits::Some, b';' | b' ' | b'\t', None) | (Digits::Over, ..) => Ok(Chunk::Size(size, Digits::Over)),
        (Digits::Some, _, None) => Err(Refused),
    }
}

impl Place {
    fn behind_body(left: u64) -> Self {
        if left == 0 { Self::Start } else { Self::Body(left) }
    }
}

impl Head {
    /// One header. What no header can be is hyper's to refuse.
    fn header(&mut self, line: &[u8]) -> Result<(), Refused> {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(()) };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = length(value).ok_or(Refused)?;
            if self.length.is_some_and(|other| other != length) {
                return Err(Refused);
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.coded = true;
            for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                // `chunked` is the last, once: behind it nothing can be told apart.
                if self.chunked {
                    return Err(Refused);
                }
                self.chunked = coding.eq_ignore_ascii_case(b"chunked");
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
        Ok(())
    }
}

/// A Content-Length: digits and nothing else.
fn length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on, in pieces of any size, and whether it was refused.
    fn follow(bytes: &[u8], size: usize) -> (usize, bool) {
        let mut guard = Guard::new(1024);
        let mut passed = 0;
        for piece in bytes.chunks(size) {
            let (good, outcome) = guard.follow(piece);
            passed += good;
            if outcome.is_err() {
                return (passed, true);
            }
        }
        (passed, false)
    }

    fn is_refused(request: &str) -> bool {
        let refused = follow(request.as_bytes(), usize::MAX).1;
        for size in 1..20 {
            assert_eq!(follow(request.as_bytes(), size).1, refused, "{request:?} in pieces of {size}");
        }
        refused
    }

    #[test]
    fn what_is_read_in_two_ways_is_refused_wherever_it_is_cut() {
        for head in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: 0x1",
            "Content-Length: 1 1",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
            "Content-Length : 1\r\nTransfer-Encoding : chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
            "A: b\r\n c: d",
            "A: b\r\n\tTransfer-Encoding: chunked",
            " A: b",
            "A: b\nTransfer-Encoding: chunked",
            "A: b\rTransfer-Encoding: chunked",
            "A: b\r\rC: d",
            "A: b\r",
            "A: b\n",
        ] {
            assert!(is_refused(&format!("POST / HTTP/1.1\r\n{head}\r\n\r\n")), "{head:?}");
        }
        assert!(is_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(is_refused("GET / HTTP/1.1\nHost: a\r\n\r\n") && is_refused("\nGET / HTTP/1.1\r\n\r\n"));
    }

    #[test]
    fn what_is_well_formed_is_passed_on_whole_whatever_is_behind_it() {
        let bodies = [
            "Content-Length: 5\r\n\r\nhello",
            "Content-Length: 5\r\ncontent-length:5 \r\n\r\n\n a:b",
            "Transfer-Encoding: gzip, chunked\r\n\r\n5;a=b\r\n\n \r\n1\r\n00F \r\n0123456789abcde\r\n0\r\nA: b\r\nC: d\r\n\r\n",
            "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            "Content-Length: 0\r\n\r\n",
            "\r\n",
        ];
        for body in bodies {
            let one = format!("\r\nPOST / HTTP/1.1\r\nHost: a\r\n{body}");
            let several = one.repeat(3) + "GET / HTTP/1.1\r\n";
            assert!(!is_refused(&several), "{body:?}");
            // And it is known where the body ends: the next head is looked at.
            let (good, refused) = follow(format!("{several} obs-fold\r\n\r\n").as_bytes(), 7);
            assert!(refused && good == several.len(), "{body:?}: {good} of {}", several.len());
        }
    }

    #[test]
    fn chunks_are_held_to_the_same() {
        for chunks in [
            "5\nhello\r\n",
            "5\r\nhello\n",
            "5\r\nhellooo\r\n",
            "\r\n",
            "x\r\n",
            "-5\r\n",
            "5x\r\n",
            " 5\r\n",
            "5;a\nb\r\n",
            "10000000000000000\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n A: b\r\n\r\n",
            "0\r\n\rx",
        ] {
            assert!(is_refused(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")), "{chunks:?}");
        }
    }

    #[test]
    fn behind_an_upgrade_and_behind_a_line_that_is_too_long_anything_may_follow() {
        assert!(!is_refused("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n \n\r\r\n"));
        assert!(!is_refused(&format!("GET / HTTP/1.1\r\nA: {}\n\n\r\r", "x".repeat(1100))));
    }
}
