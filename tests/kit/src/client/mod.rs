//! A little WebSocket client for tests, on a simulated [`Peer`] or on a real connection ([`crate::real`]).
//!
//! It is strict where a server may break the RFC (it panics and says which rule), and free where a client may: any frame, any
//! byte, at any time. It answers pings and close frames by itself unless told not to. Time plays no part in it: it acts
//! when [`Client::step`] is called.
//!
//! ```
//! use tidewire_kit::client::{Client, Message, Upgrade};
//! # use tidewire_kit::sim::{Faults, Network};
//! # let network = Network::new(1, Faults::none());
//! # let mut listener = network.listen(&tidewire_sys::Endpoint::Unix("a".into())).unwrap();
//! # let peer = network.connect(listener.local());
//! # let mut server = listener.accept().unwrap();
//! let mut client = Client::open(peer, &Upgrade::to("/chat?name=N").header("Origin", "http://localhost"));
//! client.send_text("hello");
//! # let request = String::from_utf8_lossy(&server.read()).into_owned();
//! # assert!(request.starts_with("GET /chat?name=N HTTP/1.1\r\n"));
//! # let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split('\r').next().unwrap();
//! # let accept = tidewire_kit::client::accept_for(key);
//! # let upgrade = "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
//! # server.write(format!("{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
//! # server.write(b"\x81\x05hello");
//! while client.step() {}
//! assert!(client.is_open());
//! assert_eq!(client.take_messages(), [Message::Text("hello".to_owned())]);
//! ```

mod accept;
mod deflate;
pub mod frame;
mod inbox;
#[cfg(test)]
mod tests;

pub use accept::accept_for;
pub use inbox::{CloseFrame, Message};

use crate::Random;
use crate::http::{self, Response};
use crate::sim::Peer;
use frame::{BINARY, CLOSE, CONTINUATION, FIN, Frame, Length, PING, PONG, RSV1, TEXT};
use inbox::Inbox;

/// A stream of bytes that a client can live on.
pub trait Wire {
    /// Sends everything.
    fn send(&mut self, bytes: &[u8]);

    /// What has arrived.
    fn receive(&mut self) -> Arrival;
}

/// What a [`Wire`] has for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing at this time.
    Nothing,
    /// The server has ended its direction.
    End,
    /// The connection was reset, or refused.
    Reset,
}

impl Wire for Peer {
    fn send(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }

    fn receive(&mut self) -> Arrival {
        let bytes = self.read();
        match bytes.is_empty() {
            false => Arrival::Bytes(bytes),
            true if self.is_at_end() => Arrival::End,
            true if self.is_reset() => Arrival::Reset,
            true => Arrival::Nothing,
        }
    }
}

/// An upgrade request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    target: String,
    headers: Vec<(String, String)>,
    seed: u64,
    deflate: bool,
}

impl Upgrade {
    /// A request for a path, with its query.
    #[must_use]
    pub fn to(target: &str) -> Self {
        Self { target: target.to_owned(), headers: Vec::new(), seed: 0, deflate: false }
    }

    /// Adds a header. `Host`, `Upgrade`, `Connection` and the `Sec-WebSocket-Key` and `-Version` are there already.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers permessage-deflate with parameters (`; NAME=VALUE`, or none). What comes compressed is decompressed, with the
    /// windows and resets that were agreed on; [`Client::send_compressed`] compresses.
    #[must_use]
    pub fn deflate(mut self, parameters: &str) -> Self {
        self.deflate = true;
        self.header("Sec-WebSocket-Extensions", &format!("permessage-deflate{parameters}"))
    }

    /// The seed of the key and of the masks; 0 without it.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The bytes of the request with a given key.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Vec<u8> {
        let mut request =
            format!("GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", self.target);
        request += &format!("Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n");
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        (request + "\r\n").into_bytes()
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The server ended its direction.
    Fin,
    /// The connection was reset, or refused.
    Reset,
}

/// A client; see the [module](self).
#[derive(Debug)]
pub struct Client<W> {
    wire: W,
    random: Random,
    key: String,
    response: Option<Response>,
    inbox: Inbox,
    unparsed: Vec<u8>,
    ended: Option<Ended>,
    automatic: bool,
    close_sent: bool,
    deflate: bool,
}

impl<W: Wire> Client<W> {
    /// Sends the upgrade request. Frames may be sent right behind it; they need not wait for the answer.
    pub fn open(mut wire: W, upgrade: &Upgrade) -> Self {
        let mut random = Random::new(upgrade.seed);
        let key = accept::base64(&random.bytes(16));
        wire.send(&upgrade.bytes(&key));
        Self {
            wire,
            random,
            key,
            response: None,
            inbox: Inbox::default(),
            unparsed: Vec::new(),
            ended: None,
            automatic: true,
            close_sent: false,
            deflate: upgrade.deflate,
        }
    }

    /// Answers neither pings nor close frames from here on.
    pub const fn answer_nothing(&mut self) {
        self.automatic = false;
    }

    /// Takes in what has arrived, and says whether anything did.
    ///
    /// # Panics
    /// When the server breaks RFC 6455; the message says how.
    pub fn step(&mut self) -> bool {
        match self.wire.receive() {
            Arrival::Bytes(bytes) => {
                self.unparsed.extend(bytes);
                self.parse();
                true
            }
            Arrival::Nothing => false,
            Arrival::End => self.end(Ended::Fin),
            Arrival::Reset => self.end(Ended::Reset),
        }
    }

    fn end(&mut self, how: Ended) -> bool {
        let news = self.ended.is_none();
        self.ended = self.ended.or(Some(how));
        // A refusal whose body is as long as the connection lives is complete only now.
        if news && self.response.is_none() {
            self.parse_response();
        }
        news
    }

    fn parse(&mut self) {
        if self.response.is_none() {
            self.parse_response();
        }
        if !self.was_upgraded() {
            return;
        }
        let mut at = 0;
        while let Some((frame, taken)) = frame::decode(&self.unparsed[at..]) {
            at += taken;
            self.take(frame);
        }
        self.unparsed.drain(..at);
    }

    fn parse_response(&mut self) {
        let Some((response, taken)) = http::parse(&self.unparsed, self.ended.is_some()) else { return };
        self.unparsed.drain(..taken);
        if response.status == 101 {
            self.check(&response);
        }
        self.response = Some(response);
    }

    /// RFC 6455, section 4.1: what a client must verify.
    fn check(&mut self, response: &Response) {
        let value = |name| response.header(name).unwrap_or_default();
        assert!(value("upgrade").eq_ignore_ascii_case("websocket"), "the response's Upgrade is {:?}", value("upgrade"));
        let connection = value("connection").split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
        assert!(connection, "the response's Connection is {:?}", value("connection"));
        assert_eq!(value("sec-websocket-accept"), accept_for(&self.key), "the response's Sec-WebSocket-Accept");
        let extensions = value("sec-websocket-extensions");
        self.inbox.compression = extensions.contains("permessage-deflate");
        self.inbox.codec = (self.deflate && self.inbox.compression).then(|| deflate::Codec::agreed(extensions));
    }

    fn take(&mut self, frame: Frame) {
        self.inbox.take(&frame);
        if self.automatic && !self.close_sent {
            match frame.opcode() {
                PING => self.pong(&frame.payload),
                CLOSE => self.send_close(&frame.payload),
                _ => {}
            }
        }
        self.inbox.frames.push(frame);
    }

    /// Sends a text message in one frame.
    pub fn send_text(&mut self, text: &str) {
        self.send_frame(FIN | TEXT, text.as_bytes());
    }

    /// Sends a binary message in one frame.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send_frame(FIN | BINARY, bytes);
    }

    /// Sends a message in several frames.
    ///
    /// # Panics
    /// When there is no fragment.
    pub fn send_fragments(&mut self, opcode: u8, fragments: &[&[u8]]) {
        let last = fragments.len().checked_sub(1).expect("a message has at least one frame");
        for (index, fragment) in fragments.iter().enumerate() {
            let opcode = if index == 0 { opcode } else { CONTINUATION };
            let fin = if index == last { FIN } else { 0 };
            self.send_frame(fin | opcode, fragment);
        }
    }

    /// Whether [`Client::send_compressed`] may be called: [`Upgrade::deflate`] was asked for and agreed to.
    pub const fn is_compressed(&self) -> bool {
        self.inbox.codec.is_some()
    }

    /// Sends a message compressed, in one frame.
    ///
    /// # Panics
    /// When that was not agreed on, with [`Upgrade::deflate`].
    pub fn send_compressed(&mut self, opcode: u8, payload: &[u8]) {
        let compressed = self.compress(payload);
        self.send_frame(FIN | RSV1 | opcode, &compressed);
    }

    /// What a message is compressed to. It must be sent: later messages may refer to it.
    ///
    /// # Panics
    /// When compression was not agreed on.
    pub fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        self.inbox.codec.as_mut().expect("compression was agreed on").compress(payload)
    }

    /// Sends a ping.
    pub fn ping(&mut self, payload: &[u8]) {
        self.send_frame(FIN | PING, payload);
    }

    /// Sends a pong.
    pub fn pong(&mut self, payload: &[u8]) {
        self.send_frame(FIN | PONG, payload);
    }

    /// Sends a close frame.
    pub fn close(&mut self, code: u16, reason: &str) {
        self.send_close(&frame::close_payload(code, reason));
    }

    /// Sends a close frame with any payload.
    pub fn send_close(&mut self, payload: &[u8]) {
        self.close_sent = true;
        self.send_frame(FIN | CLOSE, payload);
    }

    /// Sends a masked frame with any first byte (FIN, RSV and opcode bits).
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mask = (self.random.bits() as u32).to_le_bytes();
        self.wire.send(&frame::encode(first, Length::Minimal, Some(mask), payload));
    }

    /// Sends any bytes.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
    }

    /// The response to the upgrade request; a refusal has its body.
    pub const fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    fn was_upgraded(&self) -> bool {
        self.response.as_ref().is_some_and(|response| response.status == 101)
    }

    /// Whether frames may come: upgraded, and neither ended nor closed by the server.
    pub fn is_open(&self) -> bool {
        self.was_upgraded() && self.ended.is_none() && self.inbox.close.is_none()
    }

    /// How the connection ended, if it has.
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The server's close frame, if it has come.
    pub const fn close_frame(&self) -> Option<&CloseFrame> {
        self.inbox.close.as_ref()
    }

    /// The messages since the last [`Client::take_messages`].
    pub fn messages(&self) -> &[Message] {
        &self.inbox.messages
    }

    /// Takes the first `count` messages.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn take_first_messages(&mut self, count: usize) -> Vec<Message> {
        self.inbox.messages.drain(..count).collect()
    }

    /// Takes all messages.
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.inbox.messages)
    }

    /// The frames, pings and pongs included, since the last [`Client::take_frames`].
    pub fn frames(&self) -> &[Frame] {
        &self.inbox.frames
    }

    /// Takes the frames.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.inbox.frames)
    }

    /// Bytes that have arrived and are no complete frame or response yet.
    pub fn unparsed(&self) -> &[u8] {
        &self.unparsed
    }

    /// The stream beneath.
    pub const fn wire(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Gives up the client for the stream beneath.
    pub fn into_wire(self) -> W {
        self.wire
    }
}
