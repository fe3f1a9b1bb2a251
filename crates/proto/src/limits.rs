//! Who we are, and how much a peer may ask of us.

/// Our own role in a connection. It decides who masks (RFC 6455, section 5.1) and who ends the transport (section 7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// We accepted the connection: what we receive must be masked, what we send must not be.
    #[default]
    Server,
    /// We opened the connection: what we send must be masked, what we receive must not be.
    Client,
}

/// What a peer may make us hold. It belongs to the listener or the client, not to a connection, and may change at any time:
/// a message under way is judged by the limits of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message in payload bytes, all its fragments together. One more is [`PeerError::MessageTooBig`], code
    /// 1009, before anything is allocated for it.
    ///
    /// [`PeerError::MessageTooBig`]: crate::PeerError::MessageTooBig
    pub max_message: usize,
    /// The largest number of frames that one message may consist of. One more is [`PeerError::TooManyFragments`], code
    /// 1008. It bounds the work that a message of empty frames can cause. A message of one frame is never too many.
    ///
    /// [`PeerError::TooManyFragments`]: crate::PeerError::TooManyFragments
    pub max_fragments: u32,
}

impl Limits {
    /// 16 MiB, as in Bun.
    pub const DEFAULT_MAX_MESSAGE: usize = 16 * 1024 * 1024;
    /// 131,072: twice what the Autobahn test suite sends (cases 9.3.1 and 9.4.1: 4 MiB in fragments of 64 bytes).
    pub const DEFAULT_MAX_FRAGMENTS: u32 = 128 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: Self::DEFAULT_MAX_MESSAGE, max_fragments: Self::DEFAULT_MAX_FRAGMENTS }
    }
}
