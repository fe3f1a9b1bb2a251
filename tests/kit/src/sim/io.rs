//! What a worker gets instead of the real kernel.

use super::Network;
use super::kernel::{Kernel, Kind};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;
use tidewire_sys::buffer::Pool;
use tidewire_sys::{Accepted, Buffer, Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};

/// The most that one receive brings.
const RECEIVE_SIZE: usize = 64 * 1024;
/// `EMFILE`, the same number on every unix; the standard library has no name for it.
const EMFILE: i32 = 24;

/// An [`Io`] on a simulated [`Network`]; made by [`Network::io`].
///
/// - [`Io::wait`] never sleeps: with nothing to report it returns at once and leaves the clock alone. The time at which it
///   would have ended is what [`Network::next_due`] knows of it.
/// - [`Io::descriptor`] is `None`.
/// - [`Io::release`] gives a stand-in (a descriptor of `/dev/null`) that only another `SimIo` of the same network can adopt.
/// - Using a socket that is closed, or a listener as a connection, is a panic.
/// - What is open when it is dropped is closed, and counted by [`Network::abandoned`].
#[derive(Debug)]
pub struct SimIo {
    kernel: Rc<RefCell<Kernel>>,
    released: Rc<RefCell<Released>>,
    number: usize,
    pool: Pool,
}

/// Released sockets by the number of their stand-in.
pub(super) type Released = BTreeMap<i32, Kind>;

impl SimIo {
    pub(super) fn new(network: &Network) -> Self {
        let kernel = network.kernel.clone();
        let number = kernel.borrow_mut().add_worker();
        Self { kernel, released: network.released.clone(), number, pool: Pool::new(RECEIVE_SIZE) }
    }

    /// The faults that a receive, a send and an accept have in common.
    fn interfere(kernel: &mut Kernel) -> io::Result<()> {
        let tcp = &mut kernel.tcp;
        if tcp.random.chance(tcp.faults.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        if tcp.random.chance(tcp.faults.spurious_block) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    /// As much of `available` as this call is granted.
    fn part(kernel: &mut Kernel, probability: f64, available: usize) -> usize {
        let random = &mut kernel.tcp.random;
        if available < 2 || !random.chance(probability) {
            return available;
        }
        // A single byte is the hardest part to get right, so it comes often.
        if random.chance(0.3) { 1 } else { 1 + random.below(available - 1) }
    }

    fn receive(&self, kernel: &mut Kernel, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        let stream = kernel.stream_of(self.number, socket.number());
        Self::interfere(kernel)?;
        let available = kernel.tcp.readable_bytes(stream).min(into.len());
        let short_read = kernel.tcp.faults.short_read;
        let part = Self::part(kernel, short_read, available).max(1);
        kernel.tcp.recv(stream, &mut into[..part])
    }

    fn transmit(&self, kernel: &mut Kernel, socket: &Socket, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let stream = kernel.stream_of(self.number, socket.number());
        Self::interfere(kernel)?;
        let total = bytes.iter().map(|slice| slice.len()).sum();
        let short_write = kernel.tcp.faults.short_write;
        let part = Self::part(kernel, short_write, total);
        kernel.tcp.send(stream, bytes, part)
    }

    fn take_connection(&self, kernel: &mut Kernel, listener: &Socket) -> io::Result<Accepted> {
        let listener = kernel.listener_of(self.number, listener.number());
        Self::interfere(kernel)?;
        if !kernel.has_waiting(listener) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let refuses = kernel.tcp.faults.no_descriptors;
        if kernel.is_full() || kernel.tcp.random.chance(refuses) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let stream = kernel.accept(listener).ok_or(ErrorKind::WouldBlock)?;
        // Linux hands out a connection that was reset in the queue; other systems say that it was aborted.
        if kernel.tcp.stream(stream).is_some_and(|stream| stream.is_dead()) && kernel.tcp.random.chance(0.5) {
            kernel.tcp.close(stream);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let peer = kernel.peer_address(stream);
        let number = kernel.insert_accepted(self.number, stream);
        Ok(Accepted { socket: Socket::from_number(number), peer })
    }
}

impl Io for SimIo {
    fn now(&self) -> Duration {
        self.kernel.borrow().tcp.now
    }

    fn listen(&mut self, endpoint: &Endpoint, options: &ListenOptions) -> io::Result<Listening> {
        let mut kernel = self.kernel.borrow_mut();
        let opened = kernel.listen(Some(self.number), endpoint, options);
        kernel.note(format_args!("io{} listen {endpoint}: {opened:?}", self.number));
        let (_, number, local) = opened?;
        Ok(Listening { socket: Socket::from_number(number), local })
    }

    fn adopt(&mut self, descriptor: OwnedFd) -> io::Result<Socket> {
        let kind = self.released.borrow_mut().remove(&descriptor.as_raw_fd());
        let kind = kind.ok_or_else(|| io::Error::new(ErrorKind::Unsupported, "only a socket of this network can be adopted"))?;
        let mut kernel = self.kernel.borrow_mut();
        let number = kernel.adopt(self.number, kind);
        kernel.note(format_args!("io{} adopt {number}", self.number));
        Ok(Socket::from_number(number))
    }

    fn release(&mut self, socket: Socket) -> io::Result<OwnedFd> {
        let stand_in = OwnedFd::from(File::open("/dev/null")?);
        let mut kernel = self.kernel.borrow_mut();
        kernel.note(format_args!("io{} release {}", self.number, socket.number()));
        let kind = kernel.release(self.number, socket.number());
        // The number was given out before, so that stand-in is gone without having been adopted, and so is its socket.
        match self.released.borrow_mut().insert(stand_in.as_raw_fd(), kind) {
            Some(Kind::Stream(stream)) => kernel.tcp.close(stream),
            Some(Kind::Listener(listener)) => kernel.close_listener(listener),
            None => {}
        }
        Ok(stand_in)
    }

    fn accept(&mut self, listener: &Socket) -> io::Result<Accepted> {
        let mut kernel = self.kernel.borrow_mut();
        kernel.calls.accepts += 1;
        let accepted = self.take_connection(&mut kernel, listener);
        kernel.note(format_args!("io{} accept {}: {accepted:?}", self.number, listener.number()));
        accepted
    }

    fn connect(&mut self, endpoint: &Endpoint) -> io::Result<Socket> {
        let mut kernel = self.kernel.borrow_mut();
        if kernel.is_full() {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let number = kernel.dial_from_program(self.number, endpoint);
        kernel.note(format_args!("io{} connect {endpoint}: {number}", self.number));
        Ok(Socket::from_number(number))
    }

    fn connected(&mut self, socket: &Socket) -> io::Result<()> {
        let mut kernel = self.kernel.borrow_mut();
        let stream = kernel.stream_of(self.number, socket.number());
        let answer = kernel.tcp.connected(stream);
        kernel.note(format_args!("io{} connected {}: {answer:?}", self.number, socket.number()));
        answer
    }

    fn watch(&mut self, socket: &Socket, token: Token, interest: Interest) -> io::Result<()> {
        let mut kernel = self.kernel.borrow_mut();
        kernel.calls.watches += 1;
        kernel.note(format_args!("io{} watch {} {token:?} {interest:?}", self.number, socket.number()));
        kernel.watch(self.number, socket.number(), token, interest);
        Ok(())
    }

    fn recv(&mut self, socket: &Socket) -> io::Result<Buffer> {
        let mut kernel = self.kernel.borrow_mut();
        let mut buffer = self.pool.take();
        let received = self.receive(&mut kernel, socket, buffer.storage());
        kernel.calls.recvs += 1;
        kernel.note(format_args!("io{} recv {}: {received:?}", self.number, socket.number()));
        match received {
            Ok(count) => {
                kernel.calls.bytes_received += count as u64;
                kernel.buffers_lent += 1;
                buffer.set_filled(count);
                Ok(buffer)
            }
            Err(error) => {
                self.pool.put(buffer);
                Err(error)
            }
        }
    }

    fn give_back(&mut self, buffer: Buffer) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.buffers_lent = kernel.buffers_lent.checked_sub(1).expect("more buffers were given back than lent");
        self.pool.put(buffer);
    }

    /// On every other network, so that both ways of flushing meet all faults.
    fn gathers_sends(&self) -> bool {
        self.kernel.borrow().gathers_sends
    }

    fn send(&mut self, socket: &Socket, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut kernel = self.kernel.borrow_mut();
        let sent = self.transmit(&mut kernel, socket, bytes);
        kernel.calls.sends += 1;
        kernel.calls.slices += bytes.len() as u64;
        kernel.calls.bytes_sent += sent.as_ref().map_or(0, |&count| count as u64);
        kernel.note(format_args!("io{} send {} {} slices: {sent:?}", self.number, socket.number(), bytes.len()));
        let meanwhile = kernel.meanwhile.0.take();
        drop(kernel);
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        sent
    }

    fn shutdown(&mut self, socket: &Socket) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.note(format_args!("io{} shutdown {}", self.number, socket.number()));
        let stream = kernel.stream_of(self.number, socket.number());
        kernel.tcp.shutdown(stream);
    }

    fn close(&mut self, socket: Socket) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.calls.closes += 1;
        kernel.note(format_args!("io{} close {}", self.number, socket.number()));
        kernel.close(socket.number(), false);
    }

    fn abort(&mut self, socket: Socket) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.calls.closes += 1;
        kernel.note(format_args!("io{} abort {}", self.number, socket.number()));
        kernel.close(socket.number(), true);
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        let mut kernel = self.kernel.borrow_mut();
        kernel.wait(self.number, timeout, events);
        kernel.calls.waits += 1;
        kernel.calls.events += events.len() as u64;
        kernel.note(format_args!("io{} wait {timeout:?}: {events:?}", self.number));
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::new(Doorbell { rung: self.kernel.borrow().doorbell(self.number) }))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Drop for SimIo {
    fn drop(&mut self) {
        self.kernel.borrow_mut().remove_worker(self.number);
    }
}

struct Doorbell {
    rung: Arc<AtomicBool>,
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
    }
}
