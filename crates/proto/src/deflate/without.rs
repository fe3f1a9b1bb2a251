//! The feature `deflate` is off: types that nobody can make.

use super::Sink;
use crate::error::PeerError;
use crate::event::Event;
use crate::frame::Opcode;

/// Compresses messages. Without the feature `deflate` there is none.
#[derive(Debug)]
pub enum Deflater {}

/// Decompresses messages. Without the feature `deflate` there is none.
#[derive(Debug)]
pub enum Inflater {}

impl Deflater {
    /// As with the feature.
    pub const MAX_WHOLE: usize = 0xfffe;

    /// As with the feature.
    pub fn lend_room(&mut self, _: Vec<u8>) {
        match *self {}
    }

    /// As with the feature.
    pub fn take_room(&mut self) -> Vec<u8> {
        match *self {}
    }

    /// As with the feature.
    pub fn restart(&mut self) {
        match *self {}
    }

    /// As with the feature.
    pub fn message(&mut self, _: &[u8]) -> Option<&[u8]> {
        match *self {}
    }
}

impl Inflater {
    /// As with the feature.
    pub const MAX_RATIO: u32 = 1032;

    /// As with the feature.
    pub const fn limit_ratio(&mut self, _: u32) {
        match *self {}
    }

    /// As with the feature.
    pub fn lend_room(&mut self, _: Vec<u8>) {
        match *self {}
    }

    /// As with the feature.
    pub fn take_room(&mut self) -> Vec<u8> {
        match *self {}
    }

    pub(crate) fn sibling(&self) -> Box<Self> {
        match *self {}
    }

    pub(crate) fn takeover(&self) -> bool {
        match *self {}
    }

    pub(crate) fn message<'a>(&'a mut self, _: Opcode, _: &[u8], _: usize) -> Result<Event<'a>, PeerError> {
        match *self {}
    }

    pub(crate) fn piece(&mut self, _: &[u8], _: usize, _: &mut impl Sink) -> Result<(), PeerError> {
        match *self {}
    }

    pub(crate) fn end(&mut self, _: &mut impl Sink) -> Result<(), PeerError> {
        match *self {}
    }
}
