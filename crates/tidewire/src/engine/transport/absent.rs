//! What stands in for TLS where the feature `tls` is off: types without values, so that nothing of it is compiled.

use std::io;
use std::sync::Arc;

use super::Then;

/// There is none.
#[derive(Debug)]
pub(crate) enum Session {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Acceptor {}

impl Acceptor {
    pub fn session(self: &Arc<Self>) -> io::Result<Session> {
        match **self {}
    }
}

impl Session {
    pub fn open(&mut self, _: &mut [u8], _: &mut Vec<u8>) -> Then {
        match *self {}
    }

    pub fn seal(&mut self, _: &[u8], _: &mut Vec<u8>, _: bool) -> io::Result<usize> {
        match *self {}
    }

    pub fn keep(&mut self, _: &[u8], _: usize) {
        match *self {}
    }

    pub fn waiting(&self) -> &[u8] {
        match *self {}
    }

    pub fn advance(&mut self, _: usize) {
        match *self {}
    }

    pub fn is_stalled(&self) -> bool {
        match *self {}
    }

    pub fn queued(&self) -> usize {
        match *self {}
    }

    pub fn finish(&mut self) {
        match *self {}
    }
}
