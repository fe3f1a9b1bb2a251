//! Memory that looks like a socket to hyper. The worker fills the input and drains the output, and polls hyper after either.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// One end for hyper, another for the worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipe(Rc<RefCell<Flow>>);

#[derive(Debug, Default)]
struct Flow {
    input: Vec<u8>,
    read: usize,
    /// The peer sends no more.
    ended: bool,
    output: Vec<u8>,
    /// How much output is taken before hyper must wait.
    room: usize,
    /// It waits: there is more to write than there was room.
    waits: bool,
}

impl Pipe {
    /// Adds what was received.
    pub fn feed(&self, bytes: &[u8]) {
        let mut flow = self.0.borrow_mut();
        if flow.read == flow.input.len() {
            flow.input.clear();
            flow.read = 0;
        }
        flow.input.extend_from_slice(bytes);
    }

    /// The peer has ended its direction.
    pub fn end(&self) {
        self.0.borrow_mut().ended = true;
    }

    /// Whether the peer has ended its direction.
    pub fn has_ended(&self) -> bool {
        self.0.borrow().ended
    }

    /// How many bytes of input hyper has not taken.
    pub fn unread(&self) -> usize {
        let flow = self.0.borrow();
        flow.input.len() - flow.read
    }

    /// Takes the input that hyper has not taken.
    pub fn take_unread(&self) -> Vec<u8> {
        let mut flow = self.0.borrow_mut();
        let mut rest = std::mem::take(&mut flow.input);
        rest.drain(..std::mem::take(&mut flow.read));
        rest
    }

    /// Takes what hyper has written, and says how much more it may write before it must wait.
    pub fn take_output(&self, room: usize) -> Vec<u8> {
        let mut flow = self.0.borrow_mut();
        flow.room = room;
        std::mem::take(&mut flow.output)
    }

    /// Says how much hyper may write.
    pub fn set_room(&self, room: usize) {
        let mut flow = self.0.borrow_mut();
        flow.room = room;
        flow.waits = false;
    }

    /// Whether hyper waits for room.
    pub fn waits(&self) -> bool {
        self.0.borrow().waits
    }
}

impl Read for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let flow = &mut *self.0.borrow_mut();
        let unread = &flow.input[flow.read..];
        if unread.is_empty() {
            return if flow.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let step = unread.len().min(into.remaining());
        into.put_slice(&unread[..step]);
        flow.read += step;
        if flow.read == flow.input.len() {
            // A connection between requests keeps no buffer.
            flow.input = Vec::new();
            flow.read = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Pipe {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    /// Takes no more than there is room for, so that a large body stays where it is until the peer takes it.
    fn poll_write_vectored(self: Pin<&mut Self>, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let flow = &mut *self.0.borrow_mut();
        let before = flow.output.len();
        let mut left = flow.room.saturating_sub(before);
        if left == 0 {
            flow.waits = true;
            return Poll::Pending;
        }
        for slice in slices {
            let step = slice.len().min(left);
            flow.output.extend_from_slice(&slice[..step]);
            left -= step;
        }
        Poll::Ready(Ok(flow.output.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
