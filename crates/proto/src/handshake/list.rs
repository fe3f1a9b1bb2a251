//! Comma-separated lists in headers (RFC 9110, section 5.6.1), over several lines, in linear time.

use http::HeaderValue;

/// The elements of a list that may span several header lines, trimmed, empty ones skipped.
///
/// Each byte is looked at once, whatever the list is made of; [`Elements::scanned`] counts them.
#[derive(Debug, Clone)]
pub struct Elements<'a, I> {
    lines: I,
    rest: &'a [u8],
    scanned: usize,
}

impl<'a, I: Iterator<Item = &'a HeaderValue>> Elements<'a, I> {
    /// The list that these header values are the lines of.
    pub fn new(lines: I) -> Self {
        Self { lines, rest: &[], scanned: 0 }
    }

    /// How many bytes have been looked at so far: a measure of the work that a peer's header causes.
    #[must_use]
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// The next element of the line under way, and whether there is one before its end.
    fn next_in_line(&mut self) -> Option<&'a [u8]> {
        let line = self.rest;
        let mut element = 0..0;
        for (index, &byte) in line.iter().enumerate() {
            self.scanned += 1;
            match byte {
                b',' if element.is_empty() => {}
                b',' => {
                    self.rest = &line[index + 1..];
                    return Some(&line[element]);
                }
                b' ' | b'\t' => {}
                _ if element.is_empty() => element = index..index + 1,
                _ => element.end = index + 1,
            }
        }
        self.rest = &[];
        if element.is_empty() { None } else { Some(&line[element]) }
    }
}

impl<'a, I: Iterator<Item = &'a HeaderValue>> Iterator for Elements<'a, I> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(element) = self.next_in_line() {
                return Some(element);
            }
            self.rest = self.lines.next()?.as_bytes();
        }
    }
}

/// The subprotocols in a Sec-WebSocket-Protocol list, in its order. What is not a token is skipped: it could not be chosen.
#[derive(Debug, Clone)]
pub struct Protocols<'a, I>(Elements<'a, I>);

impl<'a, I: Iterator<Item = &'a HeaderValue>> Protocols<'a, I> {
    /// The subprotocols in these header values.
    pub fn new(lines: I) -> Self {
        Self(Elements::new(lines))
    }

    /// How many bytes have been looked at so far, see [`Elements::scanned`].
    #[must_use]
    pub fn scanned(&self) -> usize {
        self.0.scanned()
    }
}

impl<'a, I: Iterator<Item = &'a HeaderValue>> Iterator for Protocols<'a, I> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.by_ref().filter(|element| is_token(element)).find_map(|element| std::str::from_utf8(element).ok())
    }
}

/// Whether this is a token (RFC 9110, section 5.6.2): what a header name, or a subprotocol (RFC 6455, section 4.1), must be.
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(lines: &[&'static str]) -> Vec<String> {
        let lines: Vec<_> = lines.iter().copied().map(HeaderValue::from_static).collect();
        let mut elements = Elements::new(lines.iter());
        let found = elements.by_ref().map(|element| String::from_utf8_lossy(element).into_owned()).collect();
        assert_eq!(elements.scanned(), lines.iter().map(HeaderValue::len).sum::<usize>(), "each byte once");
        found
    }

    #[test]
    fn lists_are_trimmed_and_span_lines() {
        assert_eq!(elements(&[]), [""; 0]);
        assert_eq!(elements(&["", " ", ",", " , \t,, "]), [""; 0]);
        assert_eq!(elements(&["a"]), ["a"]);
        assert_eq!(elements(&["a,b"]), ["a", "b"]);
        assert_eq!(elements(&[" a b\t, c ,", ",d e  f"]), ["a b", "c", "d e  f"]);
        assert_eq!(elements(&["a,,b, ", "c"]), ["a", "b", "c"]);
    }

    #[test]
    fn subprotocols_are_tokens() {
        let lines = [&b"a b, c\"d, ok, caf\xe9"[..], b"v2.x+y"].map(|line| HeaderValue::from_bytes(line).expect("a value"));
        assert_eq!(Protocols::new(lines.iter()).collect::<Vec<_>>(), ["ok", "v2.x+y"]);
    }

    #[test]
    fn tokens_are_those_of_rfc_9110() {
        let allowed = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for byte in 0..=u8::MAX {
            assert_eq!(is_token(&[byte]), allowed.as_bytes().contains(&byte), "{byte:#04x}");
        }
        assert!(is_token(allowed.as_bytes()));
        assert!(!is_token(b""));
    }
}
