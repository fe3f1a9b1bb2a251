//! Every backend against the real kernel, over the loopback. Waits are on conditions, with a generous bound.

mod streams;

use crate::io::{Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};
use crate::readiness::{MAX_SLICES, Readiness};
use std::fs;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use streams::*;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
const LISTENER: Token = Token(1);
const SERVER: Token = Token(2);
const CLIENT: Token = Token(3);

/// Makes a test of each claim for each backend.
macro_rules! claims {
    ($($claim:ident)*) => {
        #[cfg(target_os = "linux")]
        mod epoll {
            $(#[test]
            fn $claim() {
                super::$claim(super::over_epoll);
            })*
        }

        #[cfg(target_os = "linux")]
        mod uring {
            $(#[test]
            fn $claim() {
                if super::has_rings() {
                    super::$claim(|| crate::uring::Uring::new().unwrap());
                }
            })*
        }

        mod portable {
            $(#[test]
            fn $claim() {
                super::$claim(super::over_polling);
            })*
        }
    };
}

#[cfg(target_os = "linux")]
fn over_epoll() -> Readiness<crate::readiness::epoll::Epoll> {
    Readiness::over(crate::readiness::epoll::Epoll::new().unwrap())
}

fn over_polling() -> Readiness<crate::readiness::portable::Portable> {
    Readiness::over(crate::readiness::portable::Portable::new().unwrap())
}

/// Whether this machine has rings to test: a container may forbid them.
#[cfg(target_os = "linux")]
fn has_rings() -> bool {
    let verdict = crate::uring::Support::probe().verdict();
    if let Err(reason) = &verdict {
        eprintln!("skipped: {reason}");
    }
    verdict.is_ok()
}

claims! {
    it_can_move_to_its_thread
    bytes_are_echoed
    many_slices_are_one_send_in_order
    a_full_socket_blocks_until_it_is_writable
    a_wait_ends_with_its_timeout
    a_waker_on_another_thread_ends_the_wait
    wakes_before_the_wait_count_once
    a_hang_up_is_told_whatever_the_interest_is
    an_abort_is_a_reset
    a_shutdown_leaves_the_other_direction
    a_closed_socket_has_no_more_events
    a_stale_socket_is_an_error
    a_taken_port_is_an_error
    two_listeners_share_a_port
    ipv6_only_is_what_it_says
    accepted_connections_do_not_wait_for_more
    a_refused_connection_says_so
    a_released_socket_lives_on_elsewhere
    a_twin_of_an_adopted_descriptor_keeps_no_events_alive
    unix_sockets_work_and_their_files_go
    a_stale_unix_file_is_replaced
    a_live_unix_server_is_not_disturbed
    a_file_that_is_no_socket_is_not_removed
    a_unix_file_of_a_successor_is_left
    everything_is_closed_in_the_end
    a_batch_is_as_many_sends
    a_close_needs_no_further_wait
    an_end_is_told_as_long_as_it_is_watched_for
    what_came_before_a_pause_is_kept
    interest_that_changes_loses_nothing
    many_that_talk_at_once_are_all_heard
    much_is_echoed_both_ways
}

fn any_port() -> Endpoint {
    Endpoint::Tcp(([127, 0, 0, 1], 0).into())
}

/// A port on an address that no other test uses: when it is free again, nobody else takes it.
fn lonely_port() -> Endpoint {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let host = NEXT.fetch_add(1, Ordering::Relaxed) as u8;
    // Only Linux has all of 127.0.0.0/8.
    if cfg!(target_os = "linux") { Endpoint::Tcp(([127, 77, 0, host], 0).into()) } else { any_port() }
}

fn address(endpoint: &Endpoint) -> SocketAddr {
    match endpoint {
        Endpoint::Tcp(address) => *address,
        Endpoint::Unix(_) => panic!("not a TCP endpoint"),
    }
}

fn listen<I: Io>(io: &mut I, endpoint: &Endpoint) -> Listening {
    let listening = io.listen(endpoint, &ListenOptions::default()).unwrap();
    io.watch(&listening.socket, LISTENER, Interest::READ).unwrap();
    listening
}

/// Waits for events until one is of the token.
fn event<I: Io>(io: &mut I, token: Token) -> Event {
    let start = Instant::now();
    let mut events = Vec::new();
    loop {
        io.wait(Some(PATIENCE), &mut events).unwrap();
        if let Some(event) = events.iter().find(|event| event.token == token) {
            return *event;
        }
        assert!(start.elapsed() < PATIENCE, "no event of {token:?}");
    }
}

/// What is due now.
fn due<I: Io>(io: &mut I) -> Vec<Event> {
    let mut events = Vec::new();
    io.wait(Some(Duration::ZERO), &mut events).unwrap();
    events
}

fn accept<I: Io>(io: &mut I, listener: &Socket) -> Socket {
    event(io, LISTENER);
    io.accept(listener).unwrap().socket
}

/// A connection of which the server's side belongs to the Io, and the other to the standard library.
fn connection<I: Io>(io: &mut I) -> (Socket, TcpStream) {
    let listening = listen(io, &any_port());
    let stream = TcpStream::connect(address(&listening.local)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let socket = accept(io, &listening.socket);
    io.close(listening.socket);
    (socket, stream)
}

fn recv<I: Io>(io: &mut I, socket: &Socket) -> io::Result<Vec<u8>> {
    let buffer = io.recv(socket)?;
    let bytes = buffer.to_vec();
    io.give_back(buffer);
    Ok(bytes)
}

fn send<I: Io>(io: &mut I, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    io.send(socket, &[IoSlice::new(bytes)])
}

/// Sends until the kernel takes no more; says how much it has taken.
fn fill(io: &mut impl Io, socket: &Socket) -> usize {
    io.watch(socket, SERVER, Interest::WRITE).unwrap();
    let block = vec![7; 1 << 20];
    let mut sent = 0;
    let (mut partial, mut blocked) = (false, false);
    // The kernel moves bytes on to the receiver while we fill its buffers, so one refusal is not yet the end.
    while !blocked || !due(io).is_empty() {
        match send(io, socket, &block) {
            Ok(count) => {
                partial |= count < block.len();
                sent += count;
            }
            Err(full) => {
                assert_eq!(full.kind(), ErrorKind::WouldBlock);
                blocked = true;
            }
        }
    }
    assert!(partial, "a send is taken in part before none is");
    sent
}

/// A directory for one test's sockets.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tidewire-sys-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> (PathBuf, Endpoint) {
        let path = self.0.join("socket");
        (path.clone(), Endpoint::Unix(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_readable(descriptor: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut polled = [rustix::event::PollFd::from_borrowed_fd(descriptor, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&patience.try_into().unwrap())).unwrap() == 1
}

// Turns and bytes.

fn it_can_move_to_its_thread<I: Io + Send + 'static>(new: impl Fn() -> I) {
    let mut io = new();
    let listening = listen(&mut io, &any_port());
    let target = address(&listening.local);
    let worker = thread::spawn(move || accept(&mut io, &listening.socket).number());
    let _client = TcpStream::connect(target).unwrap();
    assert!(worker.join().unwrap() > 2);
}

fn bytes_are_echoed<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let listening = listen(&mut io, &any_port());
    let client = io.connect(&listening.local).unwrap();
    io.watch(&client, CLIENT, Interest::WRITE).unwrap();
    event(&mut io, LISTENER);
    let accepted = io.accept(&listening.socket).unwrap();
    assert_eq!(io.accept(&listening.socket).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(accepted.peer.unwrap().ip().is_loopback());
    assert!(event(&mut io, CLIENT).writable);
    io.connected(&client).unwrap();

    let server = accepted.socket;
    io.watch(&server, SERVER, Interest::READ).unwrap();
    io.watch(&client, CLIENT, Interest::READ).unwrap();
    for text in [&b"one"[..], &[b'x'; 100_000]] {
        let mut sent = 0;
        let mut heard = Vec::new();
        while heard.len() < text.len() {
            if sent < text.len() {
                sent += send(&mut io, &client, &text[sent..]).unwrap_or(0);
            }
            let mut events = Vec::new();
            io.wait(Some(PATIENCE), &mut events).unwrap();
            for event in events {
                if event.token == SERVER {
                    let bytes = recv(&mut io, &server).unwrap();
                    assert_eq!(send(&mut io, &server, &bytes).unwrap(), bytes.len());
                } else {
                    heard.extend(recv(&mut io, &client).unwrap());
                }
            }
        }
        assert_eq!(heard, text);
    }
    assert_eq!(io.recv(&server).unwrap_err().kind(), ErrorKind::WouldBlock);
    io.close(client);
    assert!(event(&mut io, SERVER).readable);
    assert_eq!(recv(&mut io, &server).unwrap(), b"", "the end");
}

fn many_slices_are_one_send_in_order<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    // More than the kernel takes in one call.
    let numbers: Vec<[u8; 2]> = (0..1500_u16).map(u16::to_be_bytes).collect();
    let slices: Vec<IoSlice<'_>> = numbers.iter().map(|number| IoSlice::new(number)).collect();
    assert_eq!(io.send(&socket, &slices).unwrap(), 2 * MAX_SLICES);
    let mut arrived = vec![0; 2 * MAX_SLICES];
    stream.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, numbers[..MAX_SLICES].concat());
    assert_eq!(io.send(&socket, &[]).unwrap(), 0);
}

fn a_full_socket_blocks_until_it_is_writable<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    let sent = fill(&mut io, &socket);
    let reader = thread::spawn(move || {
        let mut all = vec![0; sent];
        stream.read_exact(&mut all).unwrap();
        (all.iter().all(|&byte| byte == 7), stream)
    });
    assert!(event(&mut io, SERVER).writable);
    assert!(send(&mut io, &socket, b"!").is_ok());
    assert!(reader.join().unwrap().0);
}

fn a_wait_ends_with_its_timeout<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let mut events = vec![Event { token: SERVER, readable: true, writable: true, hangup: true }];
    let timeout = Duration::from_micros(1500);
    let before = io.now();
    io.wait(Some(timeout), &mut events).unwrap();
    assert_eq!(events, [], "what was there before is replaced");
    assert!(io.now() - before >= timeout, "a deadline is never met early");
}

// Wakers and the descriptor.

fn a_waker_on_another_thread_ends_the_wait<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    for _ in 0..3 {
        let waker = io.waker();
        let other = thread::spawn(move || waker.wake());
        let before = Instant::now();
        let mut events = Vec::new();
        io.wait(Some(PATIENCE), &mut events).unwrap();
        assert_eq!(events, []);
        assert!(before.elapsed() < PATIENCE);
        other.join().unwrap();
    }
}

fn wakes_before_the_wait_count_once<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let waker = io.waker();
    for _ in 0..1000 {
        waker.wake_by_ref();
    }
    let before = Instant::now();
    io.wait(Some(PATIENCE), &mut Vec::new()).unwrap();
    assert!(before.elapsed() < PATIENCE);
    let before = Instant::now();
    let short = Duration::from_millis(50);
    io.wait(Some(short), &mut Vec::new()).unwrap();
    assert!(before.elapsed() >= short, "the next wait sleeps");
}

#[cfg(target_os = "linux")]
#[test]
fn the_descriptor_of_epoll_is_readable_while_something_is_due() {
    the_descriptor_is_readable_while_something_is_due(over_epoll());
}

#[test]
fn the_descriptor_of_polling_is_readable_while_something_is_due() {
    the_descriptor_is_readable_while_something_is_due(over_polling());
}

fn the_descriptor_is_readable_while_something_is_due(mut io: impl Io) {
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    assert_eq!(due(&mut io), []);
    assert!(!is_readable(io.descriptor().unwrap(), Duration::ZERO));

    io.waker().wake();
    assert!(is_readable(io.descriptor().unwrap(), PATIENCE), "a wake is due");
    due(&mut io);
    assert!(!is_readable(io.descriptor().unwrap(), Duration::ZERO));

    stream.write_all(b"x").unwrap();
    assert!(is_readable(io.descriptor().unwrap(), PATIENCE), "a byte is due");
    event(&mut io, SERVER);
    assert!(is_readable(io.descriptor().unwrap(), Duration::ZERO), "and still is: nobody has read it");
    recv(&mut io, &socket).unwrap();
    due(&mut io);
    assert!(!is_readable(io.descriptor().unwrap(), Duration::ZERO));
}

// Ends.

fn a_hang_up_is_told_whatever_the_interest_is<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::NONE).unwrap();
    stream.write_all(b"unread, so that the close is a reset").unwrap();
    assert_eq!(due(&mut io), []);
    send(&mut io, &socket, b"unread too").unwrap();
    stream.read_exact(&mut [0; 3]).unwrap();
    drop(stream);
    let event = event(&mut io, SERVER);
    assert!(event.hangup);
    assert_eq!(recv(&mut io, &socket).unwrap(), b"unread, so that the close is a reset", "what arrived before is there");
    assert_eq!(recv(&mut io, &socket).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(send(&mut io, &socket, b"x").unwrap_err().kind(), ErrorKind::BrokenPipe, "an error, not a signal");
}

fn an_abort_is_a_reset<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    io.abort(socket);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn a_shutdown_leaves_the_other_direction<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    send(&mut io, &socket, b"bye").unwrap();
    io.shutdown(&socket);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"bye");
    stream.write_all(b"and to you").unwrap();
    event(&mut io, SERVER);
    assert_eq!(recv(&mut io, &socket).unwrap(), b"and to you");
}

fn a_closed_socket_has_no_more_events<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::BOTH).unwrap();
    stream.write_all(b"x").unwrap();
    event(&mut io, SERVER);
    io.close(socket);
    assert_eq!(due(&mut io), []);
    // The number is free, so the next socket has it: it must be watched afresh.
    let (next, mut stream) = connection(&mut io);
    io.watch(&next, CLIENT, Interest::READ).unwrap();
    stream.write_all(b"y").unwrap();
    assert_eq!(event(&mut io, CLIENT).token, CLIENT);
}

fn a_stale_socket_is_an_error<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, _stream) = connection(&mut io);
    let stale = Socket::from_number(socket.number());
    io.close(socket);
    assert_eq!(recv(&mut io, &stale).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(send(&mut io, &stale, b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(io.watch(&stale, SERVER, Interest::READ).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(io.accept(&stale).unwrap_err().kind(), ErrorKind::InvalidInput);
    io.shutdown(&stale);
    io.close(stale);
    assert!(io.release(Socket::from_number(0)).is_err(), "nor can it reach what was never ours");
}

// Opening.

fn a_taken_port_is_an_error<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let listening = listen(&mut io, &lonely_port());
    assert_ne!(address(&listening.local).port(), 0);
    let taken = io.listen(&listening.local, &ListenOptions::default()).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let _connection = TcpStream::connect(address(&listening.local)).unwrap();
    let accepted = accept(&mut io, &listening.socket);
    io.close(listening.socket);
    io.close(accepted);
    assert!(io.listen(&listening.local, &ListenOptions::default()).is_ok(), "remains of its connections do not keep the port");
}

fn two_listeners_share_a_port<I: Io>(new: impl Fn() -> I) {
    let (mut one, mut other) = (new(), new());
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let first = one.listen(&any_port(), &shared).unwrap();
    let second = other.listen(&first.local, &shared).unwrap();
    assert_eq!(first.local, second.local);
    let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address(&first.local)).unwrap()).collect();
    let (mut mine, mut theirs) = (0, 0);
    let start = Instant::now();
    while mine + theirs < clients.len() {
        mine += usize::from(one.accept(&first.socket).is_ok());
        theirs += usize::from(other.accept(&second.socket).is_ok());
        assert!(start.elapsed() < PATIENCE);
    }
    // How a kernel shares them is its own affair; Linux spreads them by a hash.
    assert!(!cfg!(target_os = "linux") || (mine > 0 && theirs > 0), "{mine} and {theirs}");
}

fn ipv6_only_is_what_it_says<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let any = Endpoint::Tcp((Ipv6Addr::UNSPECIFIED, 0).into());
    let only = ListenOptions { ipv6_only: true, ..ListenOptions::default() };
    let listener = match io.listen(&any, &only) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            return eprintln!("skipped: this machine has no IPv6");
        }
        listener => listener.unwrap(),
    };
    let port = |listening: &Listening| address(&listening.local).port();
    assert!(TcpStream::connect(("127.0.0.1", port(&listener))).is_err());
    let both = io.listen(&any, &ListenOptions::default()).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port(&both))).is_ok());
}

fn accepted_connections_do_not_wait_for_more<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (accepted, stream) = connection(&mut io);
    let accepted = io.release(accepted).unwrap();
    let is_set = |descriptor: BorrowedFd<'_>| rustix::net::sockopt::tcp_nodelay(descriptor).unwrap();
    assert!(is_set(accepted.as_fd()), "an accepted connection has TCP_NODELAY");
    let accepted = TcpStream::from(accepted);
    assert_eq!((&accepted).read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock, "and does not block");
    let listening = listen(&mut io, &any_port());
    let outgoing = io.connect(&listening.local).unwrap();
    assert!(is_set(io.release(outgoing).unwrap().as_fd()), "and so has an outgoing one");
    let adopted = io.adopt(stream.into()).unwrap();
    assert!(is_set(io.release(adopted).unwrap().as_fd()), "and one from elsewhere");
}

fn a_refused_connection_says_so<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let listening = listen(&mut io, &lonely_port());
    io.close(listening.socket);
    // A system may say it at once or later.
    let refused = match io.connect(&listening.local) {
        Err(error) => error,
        Ok(socket) => {
            io.watch(&socket, CLIENT, Interest::WRITE).unwrap();
            assert!(event(&mut io, CLIENT).writable);
            io.connected(&socket).unwrap_err()
        }
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

fn a_released_socket_lives_on_elsewhere<I: Io>(new: impl Fn() -> I) {
    let (mut one, mut other) = (new(), new());
    let (socket, mut stream) = connection(&mut one);
    one.watch(&socket, SERVER, Interest::READ).unwrap();
    let socket = other.adopt(one.release(socket).unwrap()).unwrap();
    other.watch(&socket, SERVER, Interest::READ).unwrap();
    stream.write_all(b"hello").unwrap();
    event(&mut other, SERVER);
    assert_eq!(due(&mut one), []);
    assert_eq!(recv(&mut other, &socket).unwrap(), b"hello");
}

fn a_twin_of_an_adopted_descriptor_keeps_no_events_alive<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (one, mut other) = UnixStream::pair().unwrap();
    let twin = one.try_clone().unwrap();
    let socket = io.adopt(one.into()).unwrap();
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    other.write_all(b"x").unwrap();
    event(&mut io, SERVER);
    io.close(socket);
    assert_eq!(due(&mut io), [], "the twin is open, and none of our business");
    drop(twin);
}

// Unix sockets.

fn talk(path: &Path, io: &mut impl Io, listener: &Socket) {
    let mut client = UnixStream::connect(path).unwrap();
    event(io, LISTENER);
    let accepted = io.accept(listener).unwrap();
    assert_eq!(accepted.peer, None);
    assert_eq!(send(io, &accepted.socket, b"hello").unwrap(), 5);
    let mut heard = [0; 5];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    io.close(accepted.socket);
}

fn unix_sockets_work_and_their_files_go<I: Io>(new: impl Fn() -> I) {
    let directory = Directory::new();
    let (path, endpoint) = directory.socket();
    let mut io = new();
    let listening = listen(&mut io, &endpoint);
    assert_eq!(listening.local, endpoint);
    talk(&path, &mut io, &listening.socket);
    io.close(listening.socket);
    assert!(!path.exists());

    let listening = listen(&mut io, &endpoint);
    drop(io);
    assert!(!path.exists(), "nor does it stay when the Io is dropped");
    drop(listening);

    let mut io = new();
    let client = io.connect(&endpoint);
    assert_eq!(client.unwrap_err().kind(), ErrorKind::NotFound);
    let listening = listen(&mut io, &endpoint);
    let client = io.connect(&endpoint).unwrap();
    io.connected(&client).unwrap();
    accept(&mut io, &listening.socket);
}

fn a_stale_unix_file_is_replaced<I: Io>(new: impl Fn() -> I) {
    let directory = Directory::new();
    let (path, endpoint) = directory.socket();
    // What a server leaves that is killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut io = new();
    let listening = listen(&mut io, &endpoint);
    talk(&path, &mut io, &listening.socket);
}

fn a_live_unix_server_is_not_disturbed<I: Io>(new: impl Fn() -> I) {
    let directory = Directory::new();
    let (path, endpoint) = directory.socket();
    let (mut one, mut other) = (new(), new());
    let listening = one.listen(&endpoint, &ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
    one.watch(&listening.socket, LISTENER, Interest::READ).unwrap();
    // More than its queue takes, so that the last attempts find it busy.
    for _ in 0..5 {
        let refused = other.listen(&endpoint, &ListenOptions::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    }
    while one.accept(&listening.socket).is_ok() {}
    talk(&path, &mut one, &listening.socket);
}

fn a_file_that_is_no_socket_is_not_removed<I: Io>(new: impl Fn() -> I) {
    let directory = Directory::new();
    let (path, endpoint) = directory.socket();
    fs::write(&path, "precious").unwrap();
    let refused = new().listen(&endpoint, &ListenOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

fn a_unix_file_of_a_successor_is_left<I: Io>(new: impl Fn() -> I) {
    let directory = Directory::new();
    let (path, endpoint) = directory.socket();
    let (mut one, mut other) = (new(), new());
    let first = listen(&mut one, &endpoint);
    // Its successor moves in while it still runs, as in a restart without a gap.
    fs::rename(&path, path.with_extension("old")).unwrap();
    let second = listen(&mut other, &endpoint);
    one.close(first.socket);
    talk(&path, &mut other, &second.socket);
}

fn everything_is_closed_in_the_end<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (_socket, mut stream) = connection(&mut io);
    let listening = listen(&mut io, &lonely_port());
    drop(io);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(TcpStream::connect(address(&listening.local)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
