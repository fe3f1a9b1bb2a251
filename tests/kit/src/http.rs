//! As much HTTP/1.1 (RFC 9112) as a test needs: responses taken apart.

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// Names as they came, and values without the space around them.
    pub headers: Vec<(String, String)>,
    /// The body, its chunks put together.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, whatever the case of its name; the first when there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is not UTF-8")
    }

    /// Whether the status and the headers forbid a body, or the connection is no longer HTTP.
    fn is_bodyless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"))
    }
}

/// Reads the head at the start of the bytes, and says how many bytes it took; `None` when it is not complete.
///
/// # Panics
/// When it is not the head of a response.
#[must_use]
pub fn parse_head(bytes: &[u8]) -> Option<(Response, usize)> {
    let end = position(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("the head is not text");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let mut parts = status_line.splitn(3, ' ');
    let version = parts.next().unwrap_or_default();
    assert!(version == "HTTP/1.1" || version == "HTTP/1.0", "not a status line: {status_line:?}");
    let status = parts.next().and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {status_line:?}"));
    let reason = parts.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
        (name.to_owned(), value.trim().to_owned())
    };
    let headers = lines.map(header).collect();
    Some((Response { status, reason, headers, body: Vec::new() }, end + 4))
}

/// Reads the response at the start of the bytes with its body, and says how many bytes it took; `None` when it is not
/// complete. `ended` says that no more bytes will come, which is what ends a body of no declared length.
///
/// A response to HEAD has no body whatever it declares: use [`parse_head`] for it.
///
/// # Panics
/// When it is not a response.
#[must_use]
pub fn parse(bytes: &[u8], ended: bool) -> Option<(Response, usize)> {
    let (mut response, head) = parse_head(bytes)?;
    let rest = &bytes[head..];
    if response.is_bodyless() {
        return Some((response, head));
    }
    let taken = if response.is_chunked() {
        let (body, taken) = parse_chunks(rest)?;
        response.body = body;
        taken
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse().expect("content-length is not a number");
        response.body = rest.get(..length)?.to_vec();
        length
    } else if ended {
        response.body = rest.to_vec();
        rest.len()
    } else {
        return None;
    };
    Some((response, head + taken))
}

fn parse_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line_end = at + position(&bytes[at..], b"\r\n")?;
        let line = std::str::from_utf8(&bytes[at..line_end]).expect("a chunk's size is not text");
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).expect("a chunk's size is not a number");
        at = line_end + 2;
        if size == 0 {
            // Trailers, if there are any, end with an empty line as the chunks do.
            let trailers = if bytes.get(at..at + 2)? == b"\r\n" { 2 } else { position(&bytes[at..], b"\r\n\r\n")? + 4 };
            return Some((body, at + trailers));
        }
        body.extend(bytes.get(at..at + size)?);
        assert_eq!(bytes.get(at + size..at + size + 2)?, b"\r\n", "a chunk does not end where it says");
        at += size + 2;
    }
}

fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prefix is incomplete, and the whole takes exactly its bytes.
    fn whole(text: &str) -> Response {
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut], false), None, "{cut} bytes");
        }
        let (response, taken) = parse(format!("{text}HTTP/1.1 next").as_bytes(), false).unwrap();
        assert_eq!(taken, text.len());
        response
    }

    #[test]
    fn a_body_of_a_declared_length() {
        let response = whole("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nX-Empty:\r\n\r\ngone");
        assert_eq!((response.status, response.reason.as_str(), response.text()), (404, "Not Found", "gone"));
        assert_eq!(response.header("x-empty"), Some(""));
        assert_eq!(response.header("X-Missing"), None);
    }

    #[test]
    fn a_body_in_chunks() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(whole(&format!("{head}5\r\nhello\r\nA;x=y\r\n, chunked!\r\n0\r\n\r\n")).text(), "hello, chunked!");
        assert_eq!(whole(&format!("{head}1\r\nx\r\n0\r\nTrailer: yes\r\n\r\n")).text(), "x");
    }

    #[test]
    fn no_body_and_a_body_until_the_end() {
        assert_eq!(whole("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").status, 101);
        assert_eq!(whole("HTTP/1.1 204 No Content\r\n\r\n").body, b"");
        let until_end = b"HTTP/1.0 200 OK\r\n\r\nall of it";
        assert_eq!(parse(until_end, false), None);
        assert_eq!(parse(until_end, true).unwrap().0.text(), "all of it");
    }

    #[test]
    #[should_panic(expected = "not a status line")]
    fn what_is_no_response_is_said() {
        let _ = parse(b"SSH-2.0-OpenSSH\r\n\r\n", false);
    }
}
