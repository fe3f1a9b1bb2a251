//! The other role: connections that the engine begins, to servers that do anything, to our own, or to nobody.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidewire::client::{ClientError, Proxy};
use tidewire::engine::Worker;
use tidewire::sys::Endpoint;
use tidewire::{Client, Compress, Compressor, LocalSocket, Message};
use tidewire_kit::client::accept_for;
use tidewire_kit::client::frame::{CLOSE, Length, RSV1, decode, encode};
use tidewire_kit::sim::{Network, Peer, PeerListener};

use super::super::{Flags, Input};

/// The most servers at a time; one more takes the place of another.
const MOST: usize = 4;
/// The most connections that one run begins.
const MOST_DIALS: usize = 12;

/// What the handlers of one connection were told.
#[derive(Debug, Default)]
struct Outcome {
    opened: u32,
    failed: u32,
    closed: u32,
}

/// Everybody that the engine connects to, and what came of it.
#[derive(Debug)]
pub struct Dials {
    listener: PeerListener,
    servers: Vec<Served>,
    outcomes: Vec<Rc<RefCell<Outcome>>>,
}

impl Dials {
    pub fn new(network: &Network) -> Self {
        let anywhere = Endpoint::Tcp(([127, 0, 0, 2], 0).into());
        let listener = network.listen(&anywhere).unwrap_or_else(|error| panic!("the simulator has ports: {error}"));
        Self { listener, servers: Vec::new(), outcomes: Vec::new() }
    }

    /// Connections that were open at some time.
    pub fn opened(&self) -> u64 {
        self.outcomes.iter().map(|outcome| u64::from(outcome.borrow().opened)).sum()
    }

    pub fn begin(&mut self, worker: &Worker, own: &Endpoint, input: &mut Input<'_>) {
        let mut flags = Flags(input.byte());
        let first = input.chunk();
        if self.outcomes.len() == MOST_DIALS {
            return;
        }
        let nobody = Endpoint::Tcp(([127, 0, 0, 3], 9).into());
        let other = self.listener.local().clone();
        let places = match flags.below(4) {
            0 => vec![other],
            1 => vec![own.clone()],
            2 => vec![nobody.clone(), other, own.clone()],
            _ => vec![nobody],
        };
        let outcome = Rc::new(RefCell::new(Outcome::default()));
        let mut client = noting(&outcome, String::from_utf8_lossy(first).into_owned()).at(places);
        client = match flags.below(4) {
            0 => client,
            1 => client.per_message_deflate(true),
            2 => client.per_message_deflate(Compressor::Dedicated),
            _ => client.per_message_deflate(Compressor::KB4),
        };
        if flags.next() {
            client = client.protocol("chat");
        }
        if flags.next() {
            // Whoever is connected to is asked for a tunnel first.
            let proxy = Proxy::at("http://name:word@proxy/").unwrap_or_else(|error| panic!("it is a proxy's URL: {error}"));
            client = client.proxy(proxy);
        }
        match client.connect(&worker.handle(), "ws://a/") {
            Ok(_) => self.outcomes.push(outcome),
            Err(ClientError::Dial(_)) => {
                let told = outcome.borrow();
                assert_eq!((told.opened, told.failed, told.closed), (0, 0, 0), "what is refused at once has no life");
            }
            Err(error) => panic!("the URL is one: {error}"),
        }
    }

    /// One of the servers does something.
    pub fn act(&mut self, input: &mut Input<'_>) {
        let (which, what) = (usize::from(input.byte()), input.below(8));
        if self.servers.is_empty() {
            return;
        }
        let which = which % self.servers.len();
        let server = &mut self.servers[which];
        match what {
            0 | 1 => server.answer(what == 1),
            2 => server.peer.write(input.chunk()),
            3 => server.peer.write(&encode(input.byte(), Length::Minimal, None, input.chunk())),
            4 => server.peer.shutdown(),
            5 => server.reads = !server.reads,
            6 => self.servers.remove(which).peer.reset(),
            _ => server.peer.stall(Duration::from_millis(100) * u32::from(input.byte())),
        }
    }

    /// The servers take in what has come, and look whether a client may send it.
    pub fn read(&mut self) {
        while let Ok(peer) = self.listener.accept() {
            if self.servers.len() == MOST {
                self.servers.remove(0);
            }
            self.servers.push(Served { peer, reads: true, unparsed: Vec::new(), stage: Stage::Asked });
        }
        self.servers.iter_mut().filter(|server| server.reads).for_each(Served::read);
    }

    /// Looks whether every connection came to one end.
    pub fn check(&self) {
        for outcome in &self.outcomes {
            let told = outcome.borrow();
            assert_eq!((told.opened + told.failed, told.closed), (1, 1), "it opens or fails, and closes: {told:?}");
        }
    }
}

fn noting(outcome: &Rc<RefCell<Outcome>>, first: String) -> Client {
    let [open, message, drain, error, close] = [(); 5].map(|()| outcome.clone());
    let hear = |outcome: &Rc<RefCell<Outcome>>| {
        let told = outcome.borrow();
        assert_eq!((told.opened, told.closed), (1, 0), "an event is between open and close");
    };
    Client::builder()
        .open(move |ws| {
            open.borrow_mut().opened += 1;
            hear(&open);
            ws.send_with(&first[..], Compress::Yes);
        })
        .message(move |ws, text| {
            hear(&message);
            obey(ws, &text);
        })
        .drain(move |_| hear(&drain))
        .error(move |_, _| error.borrow_mut().failed += 1)
        .close(move |ws, _, _| {
            close.borrow_mut().closed += 1;
            ws.send("too late");
            ws.terminate();
        })
}

/// What a server tells the client to do. It echoes nothing: our own server does.
fn obey(ws: &LocalSocket, message: &Message<'_>) {
    let text = message.text();
    match text.as_bytes().first() {
        Some(b'c') => drop(ws.close(1000, text.get(1..).unwrap_or_default())),
        Some(b't') => ws.terminate(),
        Some(b'b') => drop(ws.send(vec![b'c'; 20_000])),
        Some(b'g') => drop(ws.ping(b"?")),
        _ => {}
    }
}

/// A server's end of such a connection.
#[derive(Debug)]
struct Served {
    peer: Peer,
    reads: bool,
    unparsed: Vec<u8>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The request comes, or has come.
    Asked,
    /// It was answered as it should be; with compression or without.
    Open(bool),
    /// The client has sent a Close.
    Closed,
}

impl Served {
    /// Answers the request as a server or a proxy must, if it has come.
    fn answer(&mut self, compression: bool) {
        let text = String::from_utf8_lossy(&self.unparsed).into_owned();
        let Some(end) = text.find("\r\n\r\n").filter(|_| self.stage == Stage::Asked) else { return };
        if text.starts_with("CONNECT ") {
            self.peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n");
            self.unparsed.drain(..end + 4);
            return;
        }
        let header = |name: &str| text[..end].lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(key) = header("Sec-WebSocket-Key:") else { panic!("a request without a key: {text}") };
        let mut answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_owned();
        answer += &format!("Sec-WebSocket-Accept: {}\r\n", accept_for(key));
        if let Some(protocol) = header("Sec-WebSocket-Protocol:") {
            answer += &format!("Sec-WebSocket-Protocol: {protocol}\r\n");
        }
        let compression = compression && header("Sec-WebSocket-Extensions:").is_some();
        if compression {
            // What fits any offer.
            answer += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=8\r\n";
        }
        self.peer.write((answer + "\r\n").as_bytes());
        self.unparsed.drain(..end + 4);
        self.stage = Stage::Open(compression);
    }

    fn read(&mut self) {
        self.unparsed.extend(self.peer.read());
        let compression = match self.stage {
            Stage::Open(compression) => compression,
            Stage::Asked => {
                let head = self.unparsed.windows(4).position(|window| window == b"\r\n\r\n");
                // Any answer with a good status opens a tunnel.
                let tunnel = self.unparsed.starts_with(b"CONNECT ");
                assert!(tunnel || head.is_none_or(|end| end + 4 == self.unparsed.len()), "a client waits for the answer");
                return;
            }
            Stage::Closed => {
                assert!(self.unparsed.is_empty(), "section 5.5.1: nothing after a Close");
                return;
            }
        };
        while let Some((frame, taken)) = decode(&self.unparsed) {
            self.unparsed.drain(..taken);
            assert!(frame.masked, "section 5.1: a client masks: {frame:?}");
            assert!(frame.minimal, "section 5.2: {frame:?}");
            let reserved = frame.reserved();
            assert!(
                reserved == 0 || compression && reserved == RSV1 && matches!(frame.opcode(), 1 | 2),
                "section 5.2: {frame:?}"
            );
            if frame.opcode() == CLOSE {
                self.stage = Stage::Closed;
                return self.read();
            }
        }
    }
}
