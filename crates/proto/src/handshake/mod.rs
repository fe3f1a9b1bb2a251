//! The opening handshake (RFC 6455, section 4), for both roles, over heads that have already been parsed as HTTP.

pub mod client;
mod list;
pub mod server;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::{HeaderMap, HeaderName};
use sha1_smol::Sha1;

use crate::error::UsageError;

pub use list::{Elements, Protocols, is_token};

/// The only version of the protocol (RFC 6455, section 4.1).
pub const VERSION: &str = "13";

/// What a server appends to the key before hashing it (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Base64 as keys are written. The unused bits of the last letter may have any value: RFC 6455's own example in section
/// 4.1 ("AQIDBAUGBwgJCgsMDQ4PEC==") sets one.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The value of Sec-WebSocket-Accept for a value of Sec-WebSocket-Key (RFC 6455, section 4.2.2): 28 letters of base64.
///
/// ```
/// use tidewire_proto::handshake::accept_key;
///
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // section 1.3
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    let mut accept = [0; 28];
    let written = BASE64.encode_slice(sha1.digest().bytes(), &mut accept);
    debug_assert_eq!(written, Ok(28), "20 bytes are 28 letters");
    accept
}

/// Whether a value is base64 of exactly 16 bytes (RFC 6455, section 4.2.1).
fn is_key(value: &[u8]) -> bool {
    // Room for what 24 letters can hold at most: a longer value does not fit and is refused before it is read.
    let mut nonce = [0; 18];
    BASE64.decode_slice(value, &mut nonce) == Ok(16)
}

/// Whether a list of tokens over any number of header lines has this one, in any case.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    Elements::new(headers.get_all(name).iter()).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Appends one header line.
fn write_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Refuses a subprotocol that is not a token.
fn check_protocol(protocol: &[u8]) -> Result<(), UsageError> {
    if is_token(protocol) { Ok(()) } else { Err(UsageError::Protocol(String::from_utf8_lossy(protocol).into_owned())) }
}
