//! Bodies stream in both directions with back-pressure: a gigabyte goes through a peer that stalls, and the process stays small.
//!
//! A test of its own process (nextest), so that what it measures is its own.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tidewire::{Body, Response, Server};
use tidewire_kit::process::resident_bytes;
use tidewire_kit::real::wait_until;

const GIGABYTE: u64 = 1 << 30;
const CHUNK: usize = 64 * 1024;
/// How much the process may grow.
const GROWTH: u64 = 4 * 1024 * 1024;
/// How much the kernel may hold for a connection, in both of its buffers: what the system allows varies (`tcp_rmem`, `tcp_wmem`).
const KERNEL: u64 = 128 * 1024 * 1024;

/// A gigabyte of zeros, made as it is asked for; counts what was.
struct Zeros {
    chunk: Bytes,
    left: u64,
    made: Arc<AtomicU64>,
}

impl HttpBody for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let step = self.left.min(self.chunk.len() as u64);
        if step == 0 {
            return Poll::Ready(None);
        }
        self.left -= step;
        self.made.fetch_add(step, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.chunk.slice(..step as usize)))))
    }
}

/// Waits until a number has stopped changing: the side that moves it is stalled.
fn wait_until_still(what: &str, number: impl Fn() -> u64) {
    let (mut last, mut same) = (number(), 0);
    wait_until(what, || {
        let now = number();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= 20
    });
}

fn grown(before: u64) -> u64 {
    resident_bytes().unwrap().saturating_sub(before)
}

#[test]
fn a_gigabyte_goes_out_through_a_peer_that_stalls() {
    let made = Arc::new(AtomicU64::new(0));
    let counter = made.clone();
    let server = Server::builder::<()>()
        .fetch(move |_, _| {
            let zeros = Zeros { chunk: Bytes::from(vec![0; CHUNK]), left: GIGABYTE, made: counter.clone() };
            async { Response::new(Body::stream(zeros)) }
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap();

    let mut peer = TcpStream::connect(("127.0.0.1", server.port().unwrap())).unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut buffer = vec![0; 256 * 1024];
    let before = resident_bytes().unwrap();

    let mut received = 0_u64;
    let mut stalls = 0;
    loop {
        let step = peer.read(&mut buffer).unwrap() as u64;
        if step == 0 {
            break;
        }
        received += step;
        // Four times on the way the peer stops reading until the server has stopped producing.
        if received > (stalls + 1) * GIGABYTE / 5 && stalls < 4 {
            stalls += 1;
            wait_until_still("the body is not asked for while the peer stalls", || made.load(Ordering::Relaxed));
            let ahead = made.load(Ordering::Relaxed) - received;
            assert!(ahead < KERNEL, "{ahead} bytes were made ahead of the peer: more than kernel buffers hold");
            assert!(grown(before) < GROWTH, "grew by {} bytes", grown(before));
        }
    }
    assert_eq!(stalls, 4);
    assert_eq!(made.load(Ordering::Relaxed), GIGABYTE);
    assert!(received > GIGABYTE, "the body and its head and chunk sizes: {received}");
    assert!(grown(before) < GROWTH, "grew by {} bytes", grown(before));
    drop(peer);
    server.stop();
    server.join().unwrap();
}

/// A gate that an async function waits at until another thread opens it.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        if let Some(waker) = self.waiter.lock().unwrap().take() {
            waker.wake();
        }
    }

    async fn pass(&self) {
        poll_fn(|context| {
            *self.waiter.lock().unwrap() = Some(context.waker().clone());
            if self.open.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[test]
fn a_gigabyte_comes_in_through_a_handler_that_stalls() {
    let gate = Arc::new(Gate::default());
    let taken = Arc::new(AtomicU64::new(0));
    let (held, counter) = (gate.clone(), taken.clone());
    let server = Server::builder::<()>()
        .options(|options| options.max_request_body = 2 * GIGABYTE)
        .fetch(move |mut req, _| {
            let (gate, taken) = (held.clone(), counter.clone());
            async move {
                while let Some(frame) = poll_fn(|context| Pin::new(req.body_mut()).poll_frame(context)).await {
                    let length = frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
                    if taken.fetch_add(length, Ordering::Relaxed) > GIGABYTE / 2 {
                        gate.pass().await;
                    }
                }
                taken.load(Ordering::Relaxed).to_string()
            }
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap();

    let mut peer = TcpStream::connect(("127.0.0.1", server.port().unwrap())).unwrap();
    write!(peer, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {GIGABYTE}\r\nConnection: close\r\n\r\n").unwrap();
    let chunk = vec![0; CHUNK];
    let before = resident_bytes().unwrap();
    peer.set_nonblocking(true).unwrap();
    let (mut sent, mut refused) = (0_u64, 0);
    while sent < GIGABYTE {
        let step = (GIGABYTE - sent).min(CHUNK as u64) as usize;
        match peer.write(&chunk[..step]) {
            Ok(step) => {
                sent += step as u64;
                refused = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::yield_now();
                // The kernel has taken nothing for long, and the handler waits: the stall has reached us.
                if refused > 10_000 && taken.load(Ordering::Relaxed) > GIGABYTE / 2 {
                    let ahead = sent - taken.load(Ordering::Relaxed);
                    assert!(ahead < KERNEL, "{ahead} bytes were taken from the peer that nobody had asked for");
                    assert!(grown(before) < GROWTH, "grew by {} bytes", grown(before));
                    gate.open();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(gate.open.load(Ordering::Relaxed), "the peer was never held up");
    peer.set_nonblocking(false).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{GIGABYTE}")), "{answer}");
    assert!(grown(before) < GROWTH, "grew by {} bytes", grown(before));
    drop(peer);
    server.stop();
    server.join().unwrap();
}
