//! Target `extension`: Sec-WebSocket-Extensions in both roles. What an endpoint understands is what the grammar says; what it agrees
//! to is within its means; and whatever a server answers to an offer of ours, or to any other that it accepts, holds at both ends.
//!
//! Input: two bytes of choices (takeover and window of each direction), then header lines with LF between them.

use http::HeaderValue;
use tidewire_proto::extension::{Agreement, Direction, Policy, Proposal, choose, judge};

use super::{Flags, Input};

/// See the [module](self).
///
/// # Panics
/// When it does not hold.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let policy = Policy { send: direction(input.byte()), receive: direction(input.byte()) };
    let text = input.rest();
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    as_server(&policy, &lines);
    as_client(&policy, &lines);
    between_ours(&policy, input_policy(text));
}

fn direction(choices: u8) -> Direction {
    let mut flags = Flags(choices);
    Direction { takeover: flags.next(), window_bits: 8 + flags.below(8) }
}

/// Another endpoint's means, from the end of the text: they need not have to do with the beginning.
fn input_policy(text: &[u8]) -> Policy {
    let mut last = Input(&text[text.len().saturating_sub(2)..]);
    Policy { send: direction(last.byte()), receive: direction(last.byte()) }
}

fn within(agreed: Direction, means: Direction) -> bool {
    agreed.takeover <= means.takeover && agreed.window_bits <= means.window_bits
}

fn as_server(policy: &Policy, lines: &[HeaderValue]) {
    let agreement = choose(lines, policy);
    let offer = lines.iter().flat_map(|line| grammar::list(line.as_bytes())).find_map(|element| grammar::offer(&element));
    assert_eq!(agreement.is_some(), offer.is_some(), "the first offer that follows the grammar is accepted: {offer:?}");
    let (Some(agreement), Some(offer)) = (agreement, offer) else { return };
    assert!(within(agreement.send, policy.send), "no more than there is");
    assert!(agreement.receive.takeover <= policy.receive.takeover);
    assert!(agreement.send.window_bits <= offer.server_bits.unwrap_or(15), "the client's wish is obeyed");
    assert!(!offer.server_alone || !agreement.send.takeover, "the client's wish is obeyed");
    assert!((8..=15).contains(&agreement.receive.window_bits));
    // Section 7.1.2.2: without the parameter in the offer the client cannot be told to use a smaller window.
    assert!(offer.client_bits.is_some() || agreement.receive.window_bits == 15);

    let answer = written(|out| agreement.write(out));
    let elements = grammar::list(answer.as_bytes());
    let said = elements.first().filter(|_| elements.len() == 1).and_then(grammar::answer);
    let said = said.unwrap_or_else(|| panic!("an answer is one element and valid: {answer:?}"));
    assert_eq!((said.server_alone, said.client_alone), (!agreement.send.takeover, !agreement.receive.takeover));
    assert_eq!(said.server_bits.unwrap_or(15), agreement.send.window_bits);
    assert_eq!(said.client_bits.map_or(15, |bits| bits.unwrap_or(15)), agreement.receive.window_bits);
    if let Some(wished) = offer.server_bits {
        assert!(said.server_bits.is_some_and(|bits| bits <= wished), "a wish is answered (section 7.1.2.1)");
    }
}

fn as_client(policy: &Policy, lines: &[HeaderValue]) {
    let proposal = Proposal::new(*policy);
    let judged = judge(lines, Some(&proposal));
    let elements: Vec<_> = lines.iter().flat_map(|line| grammar::list(line.as_bytes())).collect();
    let nothing = judge(lines, None);
    assert_eq!(nothing.is_ok(), elements.is_empty(), "without an offer there is no answer");
    let said = match &elements[..] {
        [] => {
            assert_eq!(judged, Ok(None));
            return;
        }
        [element] => grammar::answer(element),
        _ => None,
    };
    let Ok(Some(agreement)) = judged else {
        let wanted = said.is_some_and(|said| acceptable(policy, &said));
        assert!(!wanted, "an answer that fits is accepted: {lines:?} to {policy:?}, not {judged:?}");
        return;
    };
    let said = said.unwrap_or_else(|| panic!("only an answer that follows the grammar is accepted: {lines:?}"));
    assert!(acceptable(policy, &said), "only what was offered: {lines:?} to {policy:?}");
    assert!(within(agreement.send, policy.send), "no more than there is");
    assert!(agreement.send.window_bits <= said.client_bits.map_or(15, |bits| bits.unwrap_or(15)));
    assert!(!said.client_alone || !agreement.send.takeover);
    let receive = Direction { takeover: !said.server_alone, window_bits: said.server_bits.unwrap_or(15) };
    assert_eq!(agreement.receive, receive, "what the server said is what it does");
}

/// Whether a server may say this to our offer.
fn acceptable(policy: &Policy, said: &grammar::Said) -> bool {
    (policy.receive.takeover || said.server_alone)
        && said.server_bits.unwrap_or(15) <= policy.receive.window_bits
        && said.client_bits.is_none_or(|bits| bits.is_some_and(|bits| bits <= policy.send.window_bits))
}

/// Our client and our server always agree, and each can read what the other writes.
fn between_ours(server: &Policy, client: Policy) {
    let proposal = Proposal::new(client);
    let offer = written(|out| proposal.write(out));
    let at_server = choose([&offer], server).unwrap_or_else(|| panic!("our offer is declined: {offer:?}"));
    let answer = written(|out| at_server.write(out));
    let at_client = judge([&answer], Some(&proposal))
        .unwrap_or_else(|error| panic!("our answer {answer:?} to {offer:?} is refused: {error}"))
        .unwrap_or_else(|| panic!("our answer {answer:?} is not seen"));
    readable(at_server, at_client);
    readable(at_client, at_server);
}

/// Whether one reads what the other writes.
fn readable(sender: Agreement, receiver: Agreement) {
    assert!(within(sender.send, receiver.receive), "{sender:?} and {receiver:?}");
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> HeaderValue {
    let mut out = Vec::new();
    write(&mut out);
    HeaderValue::from_bytes(&out).unwrap_or_else(|error| panic!("what is written is a header value: {error}"))
}

/// The grammar of RFC 6455, section 9.1, and the parameters of RFC 7692, section 7.1, by another hand: characters and states.
mod grammar {
    /// An element of the list: its parts between semicolons, each a name and perhaps a value; `None` for what is malformed.
    pub type Element = Option<Vec<(String, Option<String>)>>;

    /// What an offer or an answer says.
    #[derive(Debug, Default, PartialEq)]
    pub struct Said {
        pub server_alone: bool,
        pub client_alone: bool,
        pub server_bits: Option<u8>,
        /// With a value or without.
        pub client_bits: Option<Option<u8>>,
    }

    /// The elements of a line, empty ones left out.
    pub fn list(line: &[u8]) -> Vec<Element> {
        split(line, b',').into_iter().filter(|element| !blank(element)).map(element).collect()
    }

    fn blank(text: &[u8]) -> bool {
        text.iter().all(u8::is_ascii_whitespace)
    }

    /// The text between separators that stand outside quotes.
    fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
        let (mut parts, mut start, mut at, mut quoted) = (Vec::new(), 0, 0, false);
        while at < text.len() {
            match text[at] {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                byte if byte == separator && !quoted => {
                    parts.push(&text[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        parts.push(&text[start..]);
        parts
    }

    fn element(text: &[u8]) -> Element {
        let mut parts = split(text, b';').into_iter();
        let name = token(parts.next()?.trim_ascii())?;
        let mut found = vec![(name, None)];
        for part in parts {
            found.push(parameter(part.trim_ascii())?);
        }
        // So that a line costs no memory, more than sixteen parameters are none.
        (found.len() <= 17).then_some(found)
    }

    fn parameter(text: &[u8]) -> Option<(String, Option<String>)> {
        let Some(equals) = text.iter().position(|byte| *byte == b'=') else { return Some((token(text)?, None)) };
        let (name, value) = (text[..equals].trim_ascii(), text[equals + 1..].trim_ascii());
        let value = if value.starts_with(b"\"") { token(&unquoted(value)?)? } else { token(value)? };
        Some((token(name)?, Some(value)))
    }

    fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
        let mut inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter();
        let mut plain = Vec::new();
        while let Some(byte) = inner.next() {
            plain.push(if *byte == b'\\' { *inner.next()? } else { *byte });
        }
        Some(plain)
    }

    fn token(text: &[u8]) -> Option<String> {
        let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(byte);
        (!text.is_empty() && text.iter().all(allowed)).then(|| text.iter().map(|byte| char::from(*byte)).collect())
    }

    /// An offer of permessage-deflate that is not to be declined.
    pub fn offer(element: &Element) -> Option<Said> {
        let said = parameters(element)?;
        Some(said)
    }

    /// An answer: there, `client_max_window_bits` needs its value.
    pub fn answer(element: &Element) -> Option<Said> {
        parameters(element).filter(|said| said.client_bits != Some(None))
    }

    fn parameters(element: &Element) -> Option<Said> {
        let [(name, _), parameters @ ..] = &element.as_ref()?[..] else { return None };
        if name != "permessage-deflate" {
            return None;
        }
        let mut said = Said::default();
        for (at, (name, value)) in parameters.iter().enumerate() {
            if parameters[..at].iter().any(|(earlier, _)| earlier == name) {
                return None;
            }
            match (name.as_str(), value) {
                ("server_no_context_takeover", None) => said.server_alone = true,
                ("client_no_context_takeover", None) => said.client_alone = true,
                ("server_max_window_bits", Some(value)) => said.server_bits = Some(bits(value)?),
                ("client_max_window_bits", Some(value)) => said.client_bits = Some(Some(bits(value)?)),
                ("client_max_window_bits", None) => said.client_bits = Some(None),
                _ => return None,
            }
        }
        Some(said)
    }

    fn bits(value: &str) -> Option<u8> {
        ["8", "9", "10", "11", "12", "13", "14", "15"].iter().position(|bits| *bits == value).map(|at| 8 + at as u8)
    }
}
