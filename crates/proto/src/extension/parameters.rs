//! The four parameters of permessage-deflate (RFC 7692, section 7.1).

use super::list::Extension;
use super::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};

/// What an offer or an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    pub(super) client_max_window_bits: Option<u8>,
    /// In an offer: `client_max_window_bits` stands there, with a value or without.
    pub(super) client_may_be_limited: bool,
}

impl Parameters {
    /// Reads an offer; `None` for one that must be declined (section 7.1: "unknown", "invalid value", "the same name").
    pub(super) fn of_offer(extension: &Extension<'_>) -> Option<Self> {
        Self::read(extension, true)
    }

    /// Reads an answer; `None` for one that must fail the connection. There, `client_max_window_bits` needs its value.
    pub(super) fn of_answer(extension: &Extension<'_>) -> Option<Self> {
        Self::read(extension, false)
    }

    fn read(extension: &Extension<'_>, offer: bool) -> Option<Self> {
        let mut read = Self::default();
        for parameter in extension.parameters()? {
            let value = parameter.value.as_deref();
            let repeated = match (parameter.name, value) {
                (b"server_no_context_takeover", None) => std::mem::replace(&mut read.server_no_context_takeover, true),
                (b"client_no_context_takeover", None) => std::mem::replace(&mut read.client_no_context_takeover, true),
                (b"server_max_window_bits", Some(value)) => read.server_max_window_bits.replace(window_bits(value)?).is_some(),
                (b"client_max_window_bits", None) if offer => std::mem::replace(&mut read.client_may_be_limited, true),
                (b"client_max_window_bits", Some(value)) => {
                    read.client_max_window_bits = Some(window_bits(value)?);
                    std::mem::replace(&mut read.client_may_be_limited, true)
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(read)
    }

    /// Appends them, each with its semicolon.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut flag = |name: &str, present: bool| {
            if present {
                out.extend_from_slice(b"; ");
                out.extend_from_slice(name.as_bytes());
            }
        };
        flag("server_no_context_takeover", self.server_no_context_takeover);
        flag("client_no_context_takeover", self.client_no_context_takeover);
        flag("client_max_window_bits", self.client_may_be_limited && self.client_max_window_bits.is_none());
        for (name, bits) in
            [("server_max_window_bits", self.server_max_window_bits), ("client_max_window_bits", self.client_max_window_bits)]
        {
            if let Some(bits) = bits {
                out.extend_from_slice(format!("; {name}={bits}").as_bytes());
            }
        }
    }
}

/// "A decimal integer value without leading zeroes between 8 to 15 inclusive" (section 7.1.2.1).
fn window_bits(value: &[u8]) -> Option<u8> {
    let bits = match value {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return None,
    };
    debug_assert!((MIN_WINDOW_BITS..=MAX_WINDOW_BITS).contains(&bits), "the patterns above are the range");
    Some(bits)
}
