//! What is said on a connection from its first byte until it is a WebSocket: TLS with the proxy, the proxy's tunnel, TLS with the
//! server, the handshake; each if it is needed. No I/O and no clock: bytes in, bytes out. The worker and the async client both
//! hold such conversations.

use std::collections::VecDeque;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidewire_proto::extension::{Agreement, Proposal};
use tidewire_proto::handshake::client;

use super::error::{Answer, ConnectError};
use crate::engine::transport::Secured;
#[cfg(feature = "tls")]
use crate::tls::Connector;

/// The most headers of an answer, and its largest head in bytes.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 16 * 1024;

/// One step of the way. What is to be sent for it is taken out when that is done.
#[derive(Debug)]
pub(super) enum Leg {
    /// Speak TLS with this host from here on.
    #[cfg(feature = "tls")]
    Secure { host: String, connector: Connector, begun: bool },
    /// Ask a proxy for a tunnel.
    Tunnel(Vec<u8>),
    /// Shake hands (RFC 6455, section 4.1).
    Upgrade(Box<Upgrade>),
}

#[derive(Debug)]
pub(super) struct Upgrade {
    pub head: Vec<u8>,
    pub key: [u8; 24],
    pub protocols: Vec<String>,
    pub compression: Option<Proposal>,
}

#[derive(Debug)]
pub(crate) struct Conversation {
    legs: VecDeque<Leg>,
    /// The part of an answer that has come.
    answer: Vec<u8>,
}

/// A handshake that has succeeded.
#[derive(Debug)]
pub(crate) struct Opened {
    pub answer: Answer,
    pub compression: Option<Agreement>,
    /// What came behind the answer.
    pub early: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(legs: VecDeque<Leg>) -> Self {
        Self { legs, answer: Vec::new() }
    }

    /// Goes on as far as it can with what has come (decrypted, if it was encrypted). What is to be said is appended to `output`,
    /// to be sent through the session; what the session itself has to say waits in it.
    pub fn advance(&mut self, tls: &mut Secured, input: &[u8], output: &mut Vec<u8>) -> Result<Option<Opened>, ConnectError> {
        #[cfg(not(feature = "tls"))]
        let _ = tls;
        self.answer.extend_from_slice(input);
        loop {
            match self.legs.front_mut() {
                #[cfg(feature = "tls")]
                Some(Leg::Secure { host, connector, begun }) => {
                    if !*begun {
                        let session =
                            connector.session(host, tls.take()).map_err(|error| ConnectError::tls(host, Some(&error)))?;
                        *tls = Some(Box::new(session));
                        *begun = true;
                    }
                    if tls.as_ref().is_some_and(|session| session.is_handshaking()) {
                        return Ok(None);
                    }
                }
                Some(Leg::Tunnel(head)) => {
                    output.append(head);
                    let Some((answer, length)) = parse(&self.answer)? else { return Ok(None) };
                    self.answer.drain(..length);
                    if answer.status.is_informational() {
                        continue;
                    }
                    if !answer.status.is_success() {
                        return Err(ConnectError::Proxy(Box::new(answer)));
                    }
                    if !self.answer.is_empty() {
                        // Whoever is behind the tunnel waits for us to begin.
                        return Err(ConnectError::Malformed("the proxy's has something behind it"));
                    }
                }
                Some(Leg::Upgrade(upgrade)) => {
                    output.append(&mut upgrade.head);
                    let Some((answer, length)) = parse(&self.answer)? else { return Ok(None) };
                    self.answer.drain(..length);
                    if answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS {
                        continue;
                    }
                    return self.judge(answer).map(Some);
                }
                None => return Ok(None),
            }
            self.legs.pop_front();
        }
    }

    fn judge(&mut self, mut answer: Answer) -> Result<Opened, ConnectError> {
        let Some(Leg::Upgrade(upgrade)) = self.legs.pop_front() else { return Err(ConnectError::Closed) };
        let offered: Vec<&str> = upgrade.protocols.iter().map(String::as_str).collect();
        match client::check(answer.status, &answer.headers, &upgrade.key, &offered, upgrade.compression.as_ref()) {
            Ok(accepted) => {
                answer.protocol = accepted.protocol.map(str::to_owned);
                Ok(Opened { answer, compression: accepted.compression, early: std::mem::take(&mut self.answer) })
            }
            Err(error) => Err(ConnectError::Handshake { error, answer: Box::new(answer) }),
        }
    }

    /// What it means that the session is broken, or that the stream has ended (`tls` says which host TLS was spoken with).
    #[cfg(feature = "tls")]
    pub fn broken(&self, tls: &Secured) -> ConnectError {
        let failure = tls.as_ref().and_then(|session| session.failure());
        match self.legs.front() {
            Some(Leg::Secure { host, .. }) => ConnectError::tls(host, failure),
            // Certificates of ours are judged behind our own last word in TLS 1.3.
            _ if failure.is_some() => ConnectError::tls("the server", failure),
            _ => ConnectError::Ended,
        }
    }

    #[cfg(not(feature = "tls"))]
    pub fn broken(&self, _: &Secured) -> ConnectError {
        ConnectError::Ended
    }
}

/// The head of an answer and its length, once it is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, ConnectError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) => return Err(ConnectError::Malformed("its head is larger than 16 KiB")),
        Err(httparse::Error::TooManyHeaders) => return Err(ConnectError::Malformed("it has more than 100 headers")),
        Err(_) => return Err(ConnectError::Malformed("it cannot be parsed")),
    };
    let malformed = ConnectError::Malformed("a header of it is invalid");
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for header in response.headers.iter() {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(header.name), HeaderValue::from_bytes(header.value)) else {
            return Err(malformed);
        };
        headers.append(name, value);
    }
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.map_err(|_| ConnectError::Malformed("its status is none"))?;
    Ok(Some((Answer { status, headers, protocol: None }, length)))
}
