//! The grammar of Sec-WebSocket-Extensions (RFC 6455, section 9.1), read in linear time:
//!
//! ```text
//! extension-list  = 1#extension
//! extension       = token *( ";" token [ "=" ( token | quoted-string ) ] )
//! ```
//!
//! An element that does not follow it is skipped to its end and given as malformed: it declines itself, not its neighbours.

use std::borrow::Cow;

use crate::handshake::is_token;

/// One element of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    name: &'a [u8],
    parameters: Vec<Parameter<'a>>,
    malformed: bool,
}

/// A parameter's name, and its value without quotes if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<Cow<'a, [u8]>>,
}

/// More parameters than any extension has are not kept: the offer is malformed, so that a long line costs no memory.
const MAX_PARAMETERS: usize = 16;

impl<'a> Extension<'a> {
    /// Whether it is the extension of this name. Names of extensions and parameters are tokens, compared as they are.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// Its parameters; `None` if it does not follow the grammar.
    pub(super) fn parameters(&self) -> Option<&[Parameter<'a>]> {
        (!self.malformed).then_some(&self.parameters)
    }
}

/// The elements of one header line.
#[derive(Debug, Clone)]
pub(super) struct Extensions<'a> {
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    pub(super) const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// Takes the text up to the next of `stops` that is outside quotes, or to the end; the stop stays.
    fn until(&mut self, stops: &[u8]) -> &'a [u8] {
        let (mut quoted, mut escaped) = (false, false);
        let end = self.rest.iter().position(|&byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return !quoted && stops.contains(&byte),
            }
            false
        });
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        text.trim_ascii()
    }

    /// Takes the next byte if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        loop {
            let name = self.until(b",;");
            let mut extension = Extension { name, parameters: Vec::new(), malformed: !is_token(name) };
            let bare = !self.rest.starts_with(b";");
            while self.take(b';') {
                let parameter = parameter(self.until(b",;"));
                match parameter.filter(|_| extension.parameters.len() < MAX_PARAMETERS) {
                    Some(parameter) => extension.parameters.push(parameter),
                    None => extension.malformed = true,
                }
            }
            let more = self.take(b',');
            if !(name.is_empty() && bare) {
                return Some(extension);
            }
            // "1#" allows empty elements (RFC 9110, section 5.6.1.2).
            if !more {
                return None;
            }
        }
    }
}

fn parameter(text: &[u8]) -> Option<Parameter<'_>> {
    let (name, value) = match text.iter().position(|&byte| byte == b'=') {
        None => (text, None),
        Some(at) => (text[..at].trim_ascii_end(), Some(value(text[at + 1..].trim_ascii_start())?)),
    };
    is_token(name).then_some(Parameter { name, value })
}

/// A token, or a quoted string that is a token once its quotes and escapes are gone (RFC 6455, section 9.1).
fn value(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let value = match text {
        [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => Cow::Owned(unescape(inner)?),
        [b'"', inner @ .., b'"'] => Cow::Borrowed(inner),
        token => Cow::Borrowed(token),
    };
    is_token(&value).then_some(value)
}

fn unescape(inner: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element as `name;parameter=value`, a malformed one as `!`.
    fn list(line: &str) -> Vec<String> {
        Extensions::new(line.as_bytes())
            .map(|extension| {
                let Some(parameters) = extension.parameters() else { return "!".to_owned() };
                let mut text = String::from_utf8_lossy(extension.name).into_owned();
                for parameter in parameters {
                    text += &format!(";{}", String::from_utf8_lossy(parameter.name));
                    if let Some(value) = &parameter.value {
                        text += &format!("={}", String::from_utf8_lossy(value));
                    }
                }
                text
            })
            .collect()
    }

    #[test]
    fn lists_have_elements_with_parameters() {
        assert_eq!(list(""), [""; 0]);
        assert_eq!(list(" , ,\t,"), [""; 0]);
        assert_eq!(list("a"), ["a"]);
        assert_eq!(list("a, b;c , d ; e = f;g"), ["a", "b;c", "d;e=f;g"]);
        assert_eq!(list(r#"a;b="c";d="\e\f",g"#), ["a;b=c;d=ef", "g"]);
    }

    #[test]
    fn a_malformed_element_spoils_only_itself() {
        for bad in [
            "a b",
            "a;",
            "a;;b",
            "a;b=",
            "a;=b",
            "a;b c",
            r#"a;b="""#,
            r#"a;b="c d""#,
            r#"a;b="c,d;e""#,
            r#"a;b="c\"#,
            ";",
            "a;b=c=d",
        ] {
            if bad.matches('"').count() != 1 {
                assert_eq!(list(&format!("x, {bad}, y;z")), ["x", "!", "y;z"], "{bad}");
            }
            assert_eq!(list(bad), ["!"], "{bad}");
        }
        // An open quote reaches to the end of its line.
        assert_eq!(list(r#"x, a;b="c, y"#), ["x", "!"]);
        assert_eq!(list(&format!("a{}", ";b".repeat(MAX_PARAMETERS + 1))), ["!"]);
        assert_eq!(list(&format!("a{}", ";b".repeat(MAX_PARAMETERS))).len(), 1);
    }
}
