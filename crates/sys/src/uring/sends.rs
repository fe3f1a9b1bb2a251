//! A turn's sends in one system call.

use std::io;

use super::{Uring, ring};
use crate::io::Sending;

impl Uring {
    /// Sends in one system call. It ends when all answers are there: the kernel is asked for what it can do at once, so that is when
    /// it has seen them, and nothing that the caller lent is used later.
    pub(super) fn send_together(&mut self, sends: &mut [Sending<'_>]) {
        self.answers.clear();
        self.answers.resize(sends.len(), None);
        self.headers.clear();
        // SAFETY: zeroes are a header that names nothing: null pointers and lengths of 0.
        self.headers.resize_with(sends.len(), || unsafe { std::mem::zeroed() });
        for (place, (sending, header)) in sends.iter_mut().zip(&mut self.headers).enumerate() {
            // SAFETY: neither the slices, which the caller has lent for this call, nor the header, whose list does not grow below,
            // change before `answer_all` returns.
            let pushed = self
                .sockets
                .borrow(sending.socket)
                .and_then(|socket| unsafe { self.ring.send(socket, place as i32, sending.bytes, header) });
            if let Err(error) = pushed {
                self.answers[place] = Some(0);
                sending.sent = Err(error);
            }
        }
        self.answer_all();
        for (sending, answer) in sends.iter_mut().zip(&self.answers) {
            if sending.sent.is_ok() {
                sending.sent = match answer {
                    Some(error @ ..0) => Err(io::Error::from_raw_os_error(-error)),
                    Some(count) => Ok(*count as usize),
                    None => Err(ring::abandoned()),
                };
            }
        }
    }

    /// Waits until there is an answer to every send, or there will never be one.
    pub(super) fn answer_all(&mut self) {
        while self.answers.contains(&None) {
            if self.ring.submit().is_err() {
                return self.ring.abandon();
            }
            self.reap();
        }
    }
}
