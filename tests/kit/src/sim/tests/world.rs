//! One connection between the program and the test, on the simulator and on the machine's own kernel, so that a claim about
//! TCP can be checked on both.

use super::any_port;
use crate::sim::{Faults, Network, Peer, SimIo};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tidewire_sys::{Endpoint, Event, Interest, Io, ListenOptions, Readiness, Socket, Token};

/// The program's side is an `Io` and a socket, the test's side raw bytes.
pub(super) trait World: Sized {
    type Io: Io;

    /// A connection that is established at both sides.
    fn new() -> Self;
    fn io(&mut self) -> (&mut Self::Io, &Socket);
    fn take_socket(&mut self) -> Socket;
    fn peer_write(&mut self, bytes: &[u8]);
    /// At most `limit` bytes of what has arrived; nothing is the end.
    fn peer_read_at_most(&mut self, limit: usize) -> io::Result<Vec<u8>>;
    fn peer_shutdown(&mut self);
    fn peer_close(&mut self);
    fn peer_reset(&mut self);
    /// How long a claim may take to become true.
    const PATIENCE: Duration;

    fn peer_read(&mut self) -> io::Result<Vec<u8>> {
        self.peer_read_at_most(65536)
    }

    fn recv(&mut self) -> io::Result<Vec<u8>> {
        let (io, socket) = self.io();
        let buffer = io.recv(socket)?;
        let bytes = buffer.to_vec();
        io.give_back(buffer);
        Ok(bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (io, socket) = self.io();
        io.send(socket, &[IoSlice::new(bytes)])
    }

    fn shutdown(&mut self) {
        let (io, socket) = self.io();
        io.shutdown(socket);
    }

    fn close(&mut self) {
        let socket = self.take_socket();
        self.io().0.close(socket);
    }

    fn abort(&mut self) {
        let socket = self.take_socket();
        self.io().0.abort(socket);
    }

    /// What a wait reports of the connection when it is watched for `interest`: readable, writable, hang-up.
    fn ready(&mut self, interest: Interest) -> (bool, bool, bool) {
        let (io, socket) = self.io();
        io.watch(socket, Token(7), interest).unwrap();
        let mut events = Vec::new();
        io.wait(Some(Duration::ZERO), &mut events).unwrap();
        let seen: Vec<&Event> = events.iter().filter(|event| event.token == Token(7)).collect();
        assert!(seen.len() <= 1, "one event for each socket");
        seen.first().map_or((false, false, false), |event| (event.readable, event.writable, event.hangup))
    }

    /// Waits until [`World::ready`] gives what is expected.
    fn expect_ready(&mut self, interest: Interest, expected: (bool, bool, bool)) {
        let start = Instant::now();
        loop {
            let seen = self.ready(interest);
            if seen == expected {
                return;
            }
            assert!(start.elapsed() < Self::PATIENCE, "watched for {interest:?}: {seen:?} instead of {expected:?}");
            std::thread::yield_now();
        }
    }

    fn expect_peer_read(&mut self, expected: &[u8]) {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let bytes = self.peer_read().unwrap();
            assert!(!bytes.is_empty(), "it ended after {seen:?}");
            seen.extend(bytes);
        }
        assert_eq!(seen, expected);
    }

    fn peer_read_kind(&mut self) -> ErrorKind {
        self.peer_read().unwrap_err().kind()
    }
}

pub(super) struct Simulated {
    pub(super) network: Network,
    pub(super) io: SimIo,
    pub(super) listener: Socket,
    pub(super) endpoint: Endpoint,
    pub(super) socket: Option<Socket>,
    pub(super) peer: Option<Peer>,
}

impl Simulated {
    pub(super) fn with(seed: u64, faults: Faults) -> Self {
        let network = Network::new(seed, Faults { buffer: faults.buffer.clone(), ..Faults::none() });
        let mut io = network.io();
        let listening = io.listen(&any_port(), &ListenOptions::default()).unwrap();
        let peer = network.connect(&listening.local);
        let socket = io.accept(&listening.socket).unwrap().socket;
        network.set_faults(faults);
        Self { network, io, listener: listening.socket, endpoint: listening.local, socket: Some(socket), peer: Some(peer) }
    }

    pub(super) fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().unwrap()
    }
}

impl World for Simulated {
    type Io = SimIo;
    const PATIENCE: Duration = Duration::ZERO;

    fn new() -> Self {
        Self::with(1, Faults::none())
    }

    fn io(&mut self) -> (&mut SimIo, &Socket) {
        static NONE: Socket = Socket::from_number(-1);
        (&mut self.io, self.socket.as_ref().unwrap_or(&NONE))
    }

    fn take_socket(&mut self) -> Socket {
        self.socket.take().unwrap()
    }

    fn peer_write(&mut self, bytes: &[u8]) {
        self.peer().write(bytes);
    }

    fn peer_read_at_most(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let peer = self.peer();
        let bytes = peer.read_at_most(limit);
        match bytes.is_empty() {
            false => Ok(bytes),
            true if peer.is_at_end() => Ok(bytes),
            true if peer.is_reset() => Err(ErrorKind::ConnectionReset.into()),
            true => panic!("nothing has arrived"),
        }
    }

    fn peer_shutdown(&mut self) {
        self.peer().shutdown();
    }

    fn peer_close(&mut self) {
        self.peer = None;
    }

    fn peer_reset(&mut self) {
        self.peer.take().unwrap().reset();
    }
}

pub(super) struct Real {
    io: Readiness,
    socket: Option<Socket>,
    peer: Option<TcpStream>,
}

impl World for Real {
    type Io = Readiness;
    const PATIENCE: Duration = Duration::from_secs(20);

    fn new() -> Self {
        let mut io = Readiness::new().unwrap();
        let listening = io.listen(&any_port(), &ListenOptions::default()).unwrap();
        let Endpoint::Tcp(address) = listening.local else { panic!("a TCP listener") };
        let peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(Self::PATIENCE)).unwrap();
        peer.set_nodelay(true).unwrap();
        io.watch(&listening.socket, Token(1), Interest::READ).unwrap();
        io.wait(Some(Self::PATIENCE), &mut Vec::new()).unwrap();
        let socket = io.accept(&listening.socket).unwrap().socket;
        Self { io, socket: Some(socket), peer: Some(peer) }
    }

    fn io(&mut self) -> (&mut Readiness, &Socket) {
        static NONE: Socket = Socket::from_number(-1);
        (&mut self.io, self.socket.as_ref().unwrap_or(&NONE))
    }

    fn take_socket(&mut self) -> Socket {
        self.socket.take().unwrap()
    }

    fn peer_write(&mut self, bytes: &[u8]) {
        self.peer.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn peer_read_at_most(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; limit];
        let count = self.peer.as_mut().unwrap().read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn peer_shutdown(&mut self) {
        self.peer.as_mut().unwrap().shutdown(Shutdown::Write).unwrap();
    }

    fn peer_close(&mut self) {
        self.peer = None;
    }

    fn peer_reset(&mut self) {
        // The standard library has no reset, but an Io has.
        let descriptor = OwnedFd::from(self.peer.take().unwrap());
        let mut io = Readiness::new().unwrap();
        let socket = io.adopt(descriptor).unwrap();
        io.abort(socket);
    }
}
