//! Descriptors, listeners, the clock, and the record.

use super::*;
use crate::sim::Peer;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use tidewire_sys::{Event, Socket};

fn waiting(io: &mut impl Io) -> Vec<Event> {
    let mut events = Vec::new();
    io.wait(None, &mut events).unwrap();
    events
}

#[test]
fn port_zero_picks_one_and_a_taken_one_is_an_error() {
    let network = Network::new(1, Faults::none());
    let mut io = network.io();
    let one = io.listen(&any_port(), &ListenOptions::default()).unwrap();
    let other = io.listen(&any_port(), &ListenOptions::default()).unwrap();
    assert_ne!(one.local, other.local);
    let Endpoint::Tcp(address) = one.local else { panic!("a TCP listener") };
    assert_ne!(address.port(), 0);
    for taken in [one.local.clone(), Endpoint::Tcp(([0, 0, 0, 0], address.port()).into())] {
        assert_eq!(io.listen(&taken, &ListenOptions::default()).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
    io.close(one.socket);
    assert!(io.listen(&one.local, &ListenOptions::default()).is_ok(), "the port is free again");
}

#[test]
fn listeners_that_share_a_port_share_its_connections() {
    let network = Network::new(1, Faults::none());
    let (mut one, mut other) = (network.io(), network.io());
    let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let first = one.listen(&any_port(), &options).unwrap();
    let second = other.listen(&first.local, &options).unwrap();
    let _peers: Vec<Peer> = (0..100).map(|_| network.connect(&first.local)).collect();
    let count = |io: &mut dyn Io, listener| std::iter::from_fn(|| io.accept(listener).ok()).count();
    let (mine, theirs) = (count(&mut one, &first.socket), count(&mut other, &second.socket));
    assert_eq!(mine + theirs, 100);
    assert!(mine > 20 && theirs > 20, "{mine} and {theirs}");
    assert_eq!(network.open_sockets(), 102);
}

#[test]
fn a_connection_to_nowhere_is_refused() {
    let network = Network::new(1, Faults::none());
    let nowhere = Endpoint::Tcp(([127, 0, 0, 1], 9).into());
    assert!(network.connect(&nowhere).is_reset());
    let mut io = network.io();
    let socket = io.connect(&nowhere).unwrap();
    io.watch(&socket, Token(1), Interest::WRITE).unwrap();
    assert_eq!(waiting(&mut io), [Event { token: Token(1), readable: false, writable: true, hangup: true }]);
    assert_eq!(io.connected(&socket).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    io.close(socket);
    assert_eq!(network.open_sockets(), 0);
}

#[test]
fn the_program_connects_to_a_listener_of_the_test() {
    let delay = Duration::from_millis(5);
    let network = Network::new(1, Faults { delay: delay..=delay, ..Faults::none() });
    let mut listener = network.listen(&any_port()).unwrap();
    let mut io = network.io();
    let socket = io.connect(listener.local()).unwrap();
    io.watch(&socket, Token(1), Interest::WRITE).unwrap();
    assert_eq!(waiting(&mut io), [], "it takes its time");
    assert_eq!(io.connected(&socket).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(io.send(&socket, &[IoSlice::new(b"x")]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    network.advance(delay);
    assert_eq!(waiting(&mut io).len(), 1);
    io.connected(&socket).unwrap();
    let mut peer = listener.accept().unwrap();
    io.send(&socket, &[IoSlice::new(b"hel"), IoSlice::new(b"lo")]).unwrap();
    network.advance(delay);
    assert_eq!(peer.read(), b"hello");
}

#[test]
fn a_full_queue_lets_the_connection_come_back_later() {
    let network = Network::new(1, Faults::none());
    let mut io = network.io();
    let listening = io.listen(&any_port(), &ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
    let first = network.connect(&listening.local);
    let second = network.connect(&listening.local);
    assert!(!first.is_connecting());
    assert!(second.is_connecting());
    io.accept(&listening.socket).unwrap();
    assert_eq!(io.accept(&listening.socket).unwrap_err().kind(), ErrorKind::WouldBlock);
    network.advance(Duration::from_secs(1));
    assert!(!second.is_connecting());
    io.accept(&listening.socket).unwrap();
}

#[test]
fn a_listener_takes_its_queue_with_it() {
    let network = Network::new(1, Faults::none());
    let mut io = network.io();
    let listening = io.listen(&any_port(), &ListenOptions::default()).unwrap();
    let waiting = network.connect(&listening.local);
    assert!(!waiting.is_reset());
    io.close(listening.socket);
    assert!(waiting.is_reset());
    assert!(network.connect(&listening.local).is_reset(), "and nobody listens any more");
}

#[test]
fn addresses_are_those_of_the_peers() {
    let network = Network::new(1, Faults::none());
    let mut io = network.io();
    let tcp = io.listen(&any_port(), &ListenOptions::default()).unwrap();
    let address: SocketAddr = ([192, 0, 2, 7], 1234).into();
    let _peer = network.connect_from(address, &tcp.local);
    assert_eq!(io.accept(&tcp.socket).unwrap().peer, Some(address));
    let peer = network.connect(&tcp.local);
    assert_eq!(io.accept(&tcp.socket).unwrap().peer, peer.address());
    let unix = io.listen(&Endpoint::Unix("chat.sock".into()), &ListenOptions::default()).unwrap();
    let _peer = network.connect(&unix.local);
    assert_eq!(io.accept(&unix.socket).unwrap().peer, None);
}

#[test]
fn without_descriptors_a_connection_waits_in_the_queue() {
    let mut world = Simulated::new();
    world.network.limit_descriptors(2);
    let mut waiting_peer = world.network.connect(&world.endpoint);
    waiting_peer.write(b"patience");
    let error = world.io.accept(&world.listener).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(24), "EMFILE");
    world.close();
    let accepted = world.io.accept(&world.listener).unwrap();
    let bytes = world.io.recv(&accepted.socket).unwrap();
    assert_eq!(&*bytes, b"patience");
    assert_eq!(world.network.buffers_lent(), 1);
    world.io.give_back(bytes);
    assert_eq!(world.network.buffers_lent(), 0);
}

#[test]
fn numbers_are_used_again_lowest_first() {
    let mut world = Simulated::new();
    let number = world.socket.as_ref().unwrap().number();
    world.close();
    let _peer = world.network.connect(&world.endpoint);
    assert_eq!(world.io.accept(&world.listener).unwrap().socket.number(), number);
}

#[test]
#[should_panic(expected = "descriptor 77 is used and not open")]
fn a_socket_that_is_not_open_is_a_panic() {
    let mut world = Simulated::new();
    let _ = world.io.recv(&Socket::from_number(77));
}

#[test]
fn a_socket_moves_from_one_worker_to_another() {
    let mut world = Simulated::new();
    let mut other = world.network.io();
    world.io.watch(world.socket.as_ref().unwrap(), Token(1), Interest::READ).unwrap();
    let moved = world.take_socket();
    let released = world.io.release(moved).unwrap();
    world.peer().write(b"wherever you are");
    let socket = other.adopt(released).unwrap();
    other.watch(&socket, Token(9), Interest::READ).unwrap();
    assert_eq!(waiting(&mut world.io), [], "it left");
    assert_eq!(waiting(&mut other)[0].token, Token(9));
    assert_eq!(&*other.recv(&socket).unwrap(), b"wherever you are");

    let listener = std::mem::replace(&mut world.listener, Socket::from_number(-1));
    let released = world.io.release(listener).unwrap();
    let listener = other.adopt(released).unwrap();
    other.watch(&listener, Token(10), Interest::READ).unwrap();
    let _peer = world.network.connect(&world.endpoint);
    assert_eq!(waiting(&mut other)[0].token, Token(10));
    assert!(other.accept(&listener).is_ok());
    assert_eq!(world.network.open_sockets(), 3);
}

#[test]
fn a_released_socket_that_nobody_adopts_is_closed_when_its_number_returns() {
    let mut world = Simulated::new();
    let socket = world.take_socket();
    drop(world.io.release(socket).unwrap());
    let mut peers = Vec::new();
    // Other tests of this process open files too, so the number may be away for a while.
    let closed = (0..1000).any(|_| {
        peers.push(world.network.connect(&world.endpoint));
        let next = world.io.accept(&world.listener).unwrap().socket;
        drop(world.io.release(next).unwrap());
        world.peer().is_at_end()
    });
    assert!(closed);
}

#[test]
fn what_a_dropped_io_has_open_is_closed_and_counted() {
    let Simulated { network, io, peer, .. } = Simulated::new();
    assert_eq!((network.open_sockets(), network.abandoned()), (2, 0));
    drop(io);
    assert_eq!((network.open_sockets(), network.abandoned()), (0, 2));
    assert!(peer.unwrap().is_at_end());
}

#[test]
fn a_wake_from_another_thread_makes_the_network_busy_until_the_next_wait() {
    let network = Network::new(1, Faults::none());
    let mut io = network.io();
    assert!(network.is_idle());
    let waker = io.waker();
    std::thread::spawn(move || waker.wake()).join().unwrap();
    assert!(!network.is_idle());
    assert_eq!(waiting(&mut io), []);
    assert!(network.is_idle());
}

#[test]
fn the_clock_moves_only_when_told_and_knows_what_is_next() {
    let delay = Duration::from_millis(30);
    let mut world = Simulated::with(1, Faults { delay: delay..=delay, ..Faults::none() });
    let mut events = Vec::new();
    world.io.wait(Some(Duration::from_secs(5)), &mut events).unwrap();
    assert_eq!(world.io.now(), Duration::ZERO, "a wait does not sleep");
    assert_eq!(world.network.next_due(), Some(Duration::from_secs(5)), "but it is known when it would end");
    world.peer().write(b"x");
    assert_eq!(world.network.next_due(), Some(delay));
    world.network.advance(delay - Duration::from_micros(1));
    assert_eq!(world.recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    world.network.advance(Duration::from_micros(1));
    assert_eq!(world.recv().unwrap(), b"x");
    assert!(world.network.is_idle());
    world.network.advance(Duration::from_secs(5));
    assert!(!world.network.is_idle(), "a timeout has passed");
}

#[test]
fn run_lets_time_pass_only_as_far_as_it_must() {
    let network = Network::new(1, Faults::none());
    let mut io = network.io();
    let deadline = Duration::from_millis(250);
    let done = network.run(Duration::from_secs(10), || {
        let left = deadline.saturating_sub(io.now());
        io.wait(Some(left), &mut Vec::new()).unwrap();
        left.is_zero()
    });
    assert!(done);
    assert_eq!(network.now(), deadline);
    assert!(!network.run(Duration::from_secs(1), || false));
    assert_eq!(network.now(), deadline + Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "a busy loop")]
fn an_event_that_is_never_dealt_with_is_a_busy_loop() {
    let mut world = Simulated::new();
    world.peer_write(b"look at me");
    world.io.watch(world.socket.as_ref().unwrap(), Token(1), Interest::READ).unwrap();
    let Simulated { network, mut io, .. } = world;
    network.settle(|| io.wait(None, &mut Vec::new()).unwrap());
}

#[test]
fn a_stalled_peer_neither_gives_nor_takes() {
    let mut world = Simulated::new();
    world.peer().stall(Duration::from_secs(2));
    world.peer_write(b"held up");
    world.send(b"held up too").unwrap();
    world.network.advance(Duration::from_millis(1999));
    assert_eq!(world.recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(world.peer().read(), b"");
    world.network.advance(Duration::from_millis(1));
    assert_eq!(world.recv().unwrap(), b"held up");
    assert_eq!(world.peer().read(), b"held up too");
}

#[test]
fn what_a_peer_writes_waits_for_room_and_its_fin_behind_it() {
    let mut world = Simulated::with(1, Faults { buffer: 10..=10, ..Faults::none() });
    let bytes: Vec<u8> = (0..100).collect();
    world.peer_write(&bytes);
    world.peer_shutdown();
    assert_eq!(world.peer().under_way(), 90, "ten have arrived, and there is room for no more");
    let mut seen = Vec::new();
    loop {
        let part = world.recv().unwrap();
        if part.is_empty() {
            break;
        }
        assert!(part.len() <= 10);
        seen.extend(part);
    }
    assert_eq!(seen, bytes);
}

#[test]
fn calls_are_counted() {
    let mut world = Simulated::new();
    let before = world.network.calls();
    world.send(b"twelve bytes").unwrap();
    let (io, socket) = world.io();
    io.send(socket, &[IoSlice::new(b"a"), IoSlice::new(b"bc")]).unwrap();
    let _: io::Result<_> = world.recv();
    world.ready(Interest::READ);
    let cost = world.network.calls() - before;
    assert_eq!((cost.sends, cost.slices, cost.bytes_sent), (2, 3, 15));
    assert_eq!((cost.recvs, cost.bytes_received), (1, 0));
    assert_eq!((cost.waits, cost.events, cost.watches), (1, 0, 1));
}
