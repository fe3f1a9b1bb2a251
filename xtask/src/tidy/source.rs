//! Just enough of Rust's lexical rules to tell code from comments and literals.

/// The text with comments and the insides of literals replaced by spaces. Lines and columns stay where they are.
pub fn code_only(text: &str) -> String {
    let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, code: Vec::with_capacity(text.len()) };
    while lexer.at < lexer.bytes.len() {
        lexer.step();
    }
    String::from_utf8_lossy(&lexer.code).into_owned()
}

/// The number of the line in which a byte offset lies, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// The words of code (identifiers and keywords) with their byte offsets.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |length| start + length);
        rest = end;
        Some((start, &code[start..end]))
    })
}

/// Whether a character can be part of an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (b'/', b'/') => self.line_comment(),
            (b'/', b'*') => self.block_comment(),
            (b'"', _) => self.string(),
            (b'\'', _) => self.quote(),
            (b'r', b'"' | b'#') if !self.inside_word() => self.raw_string(),
            // `br"` and `cr"`: the prefix is a word, and the `r` is not at its start.
            (b'b' | b'c', b'r') if !self.inside_word() && matches!(self.peek(2), b'"' | b'#') => {
                self.keep(1);
                self.raw_string();
            }
            _ => self.keep(1),
        }
    }

    fn inside_word(&self) -> bool {
        self.at > 0 && (self.bytes[self.at - 1].is_ascii_alphanumeric() || self.bytes[self.at - 1] == b'_')
    }

    fn keep(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.code.extend_from_slice(&self.bytes[self.at..end]);
        self.at = end;
    }

    fn blank(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.code.extend(self.bytes[self.at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        self.at = end;
    }

    fn line_comment(&mut self) {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n');
        self.blank(length.unwrap_or(self.bytes.len() - self.at));
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.blank(2);
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.blank(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.blank(1),
            }
        }
    }

    fn string(&mut self) {
        self.keep(1);
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.blank(2),
                b'"' => return self.keep(1),
                _ => self.blank(1),
            }
        }
    }

    /// At `r`: a raw string, or the raw identifier `r#name`.
    fn raw_string(&mut self) {
        let hashes = self.bytes[self.at + 1..].iter().take_while(|&&byte| byte == b'#').count();
        if self.peek(1 + hashes) != b'"' {
            return self.keep(1);
        }
        self.keep(2 + hashes);
        let mut end = vec![b'"'];
        end.resize(1 + hashes, b'#');
        while self.at < self.bytes.len() && !self.bytes[self.at..].starts_with(&end) {
            self.blank(1);
        }
        self.keep(end.len());
    }

    /// A character literal, or a lifetime.
    fn quote(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        let character = if rest.first() == Some(&b'\\') {
            // The escaped character may itself be a quote.
            rest.iter().skip(2).position(|&byte| byte == b'\'').map(|length| length + 2)
        } else {
            let length = rest.iter().skip(1).take_while(|&&byte| byte & 0xC0 == 0x80).count() + 1;
            (rest.get(length) == Some(&b'\'')).then_some(length)
        };
        self.keep(1);
        if let Some(length) = character {
            self.blank(length);
            self.keep(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        let cases = [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("un\"safe") + 1"#, r#"f("        ") + 1"#),
            (r##"f(r#"a"b"#)"##, r##"f(r#"   "#)"##),
            (r#"f(br"a", b"c")"#, r#"f(br" ", b" ")"#),
            ("f('\"', '\\'', 'é', 'x')", "f(' ', '  ', '  ', ' ')"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("let r#type = 1;", "let r#type = 1;"),
            ("\"never closed", "\"            "),
        ];
        for (text, code) in cases {
            assert_eq!(code_only(text), code, "of {text}");
        }
    }

    #[test]
    fn words_come_with_their_places() {
        let found: Vec<_> = words("use a::b_2;\nfn c()").collect();
        assert_eq!(found, [(0, "use"), (4, "a"), (7, "b_2"), (12, "fn"), (15, "c")]);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
