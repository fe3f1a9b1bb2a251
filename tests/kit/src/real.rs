//! Real connections on the loopback: blocking, and never for longer than [`PATIENCE`].

use crate::client::{self, Arrival, CloseFrame, Message, Upgrade, Wire};
use crate::http::{self, Response};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take. Generous: it only ever decides how long a failing test waits on a machine that is overloaded.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long one receive blocks, so that whoever waits can look at the time in between.
const GLANCE: Duration = Duration::from_millis(50);

/// Waits until `condition` holds.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

trait Stream: Read + Write + std::fmt::Debug + Send {
    fn shutdown(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn shutdown(&self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn shutdown(&self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }
}

/// A raw connection.
#[derive(Debug)]
pub struct Connection {
    stream: Box<dyn Stream>,
    /// What was received behind a response.
    rest: Vec<u8>,
}

impl Connection {
    /// Connects by TCP.
    ///
    /// # Errors
    /// As `connect(2)`.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GLANCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: Box::new(stream), rest: Vec::new() })
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// As `connect(2)`.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(GLANCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: Box::new(stream), rest: Vec::new() })
    }

    /// Ends the outgoing direction.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown()
    }

    /// Reads until the other side ends its direction, and gives everything.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.rest);
        let start = Instant::now();
        loop {
            match self.receive() {
                Arrival::Bytes(bytes) => all.extend(bytes),
                Arrival::Nothing => assert!(start.elapsed() < PATIENCE, "the connection did not end; so far {all:?}"),
                Arrival::End | Arrival::Reset => return all,
            }
        }
    }

    /// Reads one HTTP response with its body; what came behind it is left for the next call.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`], or what comes is no response.
    pub fn read_response(&mut self) -> Response {
        let start = Instant::now();
        let mut ended = false;
        loop {
            if let Some((response, taken)) = http::parse(&self.rest, ended) {
                self.rest.drain(..taken);
                return response;
            }
            let text = String::from_utf8_lossy(&self.rest);
            assert!(!ended, "the connection ended before the response did: {text:?}");
            assert!(start.elapsed() < PATIENCE, "no response within {PATIENCE:?}: {text:?}");
            match self.read_some() {
                Arrival::Bytes(bytes) => self.rest.extend(bytes),
                Arrival::Nothing => {}
                Arrival::End | Arrival::Reset => ended = true,
            }
        }
    }

    fn read_some(&mut self) -> Arrival {
        let mut bytes = vec![0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => Arrival::End,
            Ok(count) => {
                bytes.truncate(count);
                Arrival::Bytes(bytes)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                Arrival::Nothing
            }
            Err(_) => Arrival::Reset,
        }
    }
}

impl Wire for Connection {
    /// Sends everything. A connection that is gone swallows it, as a network would; the next receive tells.
    ///
    /// # Panics
    /// When the other side does not take it within [`PATIENCE`].
    fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(error.kind() != ErrorKind::WouldBlock, "{} bytes were not taken within {PATIENCE:?}", bytes.len());
        }
    }

    /// Blocks for a moment when there is nothing.
    fn receive(&mut self) -> Arrival {
        if !self.rest.is_empty() {
            return Arrival::Bytes(std::mem::take(&mut self.rest));
        }
        self.read_some()
    }
}

/// Sends one request by TCP and reads the response.
///
/// # Panics
/// When nobody listens, or no response comes within [`PATIENCE`].
pub fn request(address: SocketAddr, request: &[u8]) -> Response {
    let mut connection = Connection::tcp(address).expect("nobody listens");
    connection.send(request);
    connection.read_response()
}

/// A WebSocket client on a real connection: everything of [`client::Client`], and calls that wait.
pub type Client = client::Client<Connection>;

impl Client {
    /// Connects by TCP and upgrades at `/`.
    ///
    /// # Panics
    /// When that fails or takes longer than [`PATIENCE`].
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &Upgrade::to("/"))
    }

    /// Connects by TCP and upgrades.
    ///
    /// # Panics
    /// When that fails or takes longer than [`PATIENCE`].
    #[must_use]
    pub fn connect_with(address: SocketAddr, upgrade: &Upgrade) -> Self {
        let mut client = Self::open(Connection::tcp(address).expect("nobody listens"), upgrade);
        client.wait_until("the answer to the upgrade", |client| client.response().is_some());
        let response = client.response();
        assert_eq!(response.map(|response| response.status), Some(101), "the upgrade was refused: {response:?}");
        client
    }

    /// Takes in what comes until `condition` holds.
    ///
    /// # Panics
    /// After [`PATIENCE`], or when the connection has ended and the condition still does not hold.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            let ended = self.ended();
            let moved = self.step();
            let state = || format!("{} messages, close {:?}, ended {ended:?}", self.messages().len(), self.close_frame());
            assert!(moved || ended.is_none(), "{what}: the connection ended before; {}", state());
            assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; {}", state());
        }
    }

    /// Waits for the next message.
    ///
    /// # Panics
    /// As [`Client::wait_until`].
    pub fn next_message(&mut self) -> Message {
        self.next_messages(1).remove(0)
    }

    /// Waits for the next `count` messages.
    ///
    /// # Panics
    /// As [`Client::wait_until`].
    pub fn next_messages(&mut self, count: usize) -> Vec<Message> {
        self.wait_until("messages", |client| client.messages().len() >= count);
        self.take_first_messages(count)
    }

    /// Waits for the end of the connection; gives the server's close frame if there was one.
    ///
    /// # Panics
    /// As [`Client::wait_until`].
    pub fn wait_ended(&mut self) -> Option<CloseFrame> {
        self.wait_until("the end of the connection", |client| client.ended().is_some());
        self.close_frame().cloned()
    }
}
