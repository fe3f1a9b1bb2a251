//! Rows 21 and 23 on the real kernel: descriptors run out, and connections are reset at any moment. Linux only, and one test, because
//! what it counts and limits is the process's.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]
// What goes wrong in a test has to be loud, also in what its tests share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidewire::server::Running;
use tidewire::{Server, Upgrade as Upgraded};
use tidewire_kit::Random;
use tidewire_kit::client::{Client, Message, Upgrade};
use tidewire_kit::process::open_descriptors;
use tidewire_kit::real::{Connection, wait_until};

fn echo() -> Running {
    let builder = Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgraded::new(())) });
    let builder = builder.message(|ws, message| {
        ws.send(message);
    });
    builder.workers(2).bind("127.0.0.1:0").unwrap().start().unwrap()
}

fn address(server: &Server) -> SocketAddr {
    ([127, 0, 0, 1], server.port().unwrap()).into()
}

fn open(server: &Server) -> Client<Connection> {
    let mut client = Client::open(Connection::tcp(address(server)).unwrap(), &Upgrade::to("/"));
    wait_until("an upgrade", || {
        client.step();
        client.is_open()
    });
    client
}

fn echoes(client: &mut Client<Connection>, text: &str) {
    client.send_text(text);
    wait_until("an echo", || {
        client.step();
        !client.messages().is_empty()
    });
    assert_eq!(client.take_messages(), [Message::Text(text.to_owned())]);
}

/// A connection that leaves somewhere, with a reset or without.
fn come_and_go(address: SocketAddr, random: &mut Random) {
    let request = Upgrade::to("/").bytes("dGhlIHNhbXBsZSBub25jZQ==");
    let bytes = [&request[..], b"\x81\x85\0\0\0\0hello", b"\x01\x81\0\0\0\0x", b"\x88\x82\0\0\0\0\x03\xe8"].concat();
    let cut = random.below(bytes.len() + 1);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&bytes[..cut]).unwrap();
    let complete = cut >= request.len();
    if complete && random.chance(0.5) {
        let mut answer = [0; 100];
        assert!(stream.read(&mut answer).unwrap() > 0);
    }
    if random.chance(0.5) {
        // Closed so, the connection is reset instead of ended.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    }
}

fn resets_leave_no_descriptor(server: &Server) {
    let before = open_descriptors().unwrap();
    let mut random = Random::new(23);
    for _ in 0..3000 {
        come_and_go(address(server), &mut random);
    }
    wait_until("every connection to be gone", || {
        let metrics = server.metrics();
        metrics.accepted == metrics.closed + 1 && metrics.opened == metrics.ended + 1
    });
    wait_until("every descriptor to be given back", || open_descriptors().unwrap() <= before);
    assert!(server.metrics().opened > 100);
}

/// Without the deadline that would end it otherwise.
fn a_reset_behind_a_fin_is_noticed_while_fetch_waits() {
    let builder = Server::builder::<()>().fetch(|_, _| std::future::pending::<&str>());
    let builder = builder.options(|options| options.http_idle_timeout = Duration::ZERO);
    let server = builder.bind("127.0.0.1:0").unwrap().start().unwrap();
    let mut stream = TcpStream::connect(address(&server)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    wait_until("the request", || server.metrics().requests == 1);
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    wait_until("its end", || server.metrics().closed == 1);
    server.stop_within(Duration::ZERO);
    server.join().unwrap();
}

/// Lets this process open no more than it has, and some.
fn limit(more: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let highest = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
        .max()
        .unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(highest + 1 + more), maximum }).unwrap();
}

fn descriptors_that_run_out_pause_accepting(server: &Server, steady: &mut Client<Connection>) {
    let usual = getrlimit(Resource::Nofile);
    limit(8);
    // Everything that is left is taken, but for the one that a client needs.
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
                break;
            }
        }
    }
    taken.pop().expect("there was room for one");
    let mut waiting = TcpStream::connect(address(server)).unwrap();
    waiting.write_all(&Upgrade::to("/").bytes("dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
    wait_until("accepting to be paused", || server.metrics().accept_pauses > 0);
    let accepted = server.metrics().accepted;
    for number in 0..100 {
        echoes(steady, &format!("still here {number}"));
    }
    assert_eq!(server.metrics().accepted, accepted);
    // Tried again each second, and not more often.
    let pauses = server.metrics().accept_pauses;
    assert!(pauses <= 60, "{pauses} pauses");
    drop(taken);
    setrlimit(Resource::Nofile, usual).unwrap();
    // The one that waited in the kernel's queue is served now.
    waiting.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 12];
    match waiting.read_exact(&mut answer) {
        Ok(()) => assert_eq!(&answer, b"HTTP/1.1 101"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("accepting was not resumed"),
        Err(error) => panic!("{error}"),
    }
    echoes(&mut open(server), "and others too");
}

#[test]
fn row_21_and_row_23_descriptors_that_run_out_and_resets_leave_nothing_behind() {
    let server = echo();
    let mut steady = open(&server);
    resets_leave_no_descriptor(&server);
    a_reset_behind_a_fin_is_noticed_while_fetch_waits();
    descriptors_that_run_out_pause_accepting(&server, &mut steady);
    echoes(&mut steady, "the end");
    drop(steady);
    server.stop_within(Duration::ZERO);
    let bound = server.server().clone();
    server.join().unwrap();
    let metrics = bound.metrics();
    assert_eq!((metrics.opened, metrics.accepted), (metrics.ended, metrics.closed), "{metrics:?}");
}
