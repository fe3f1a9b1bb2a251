//! RFC 6455 and RFC 7692 as a pure state machine: bytes in, events out, for both roles.
//!
//! ```text
//!               handshake                                            after it
//!  ┌──────────────────────────────────────┐    ┌───────────────────────────────────────────────────┐
//!  server::check(request)  -> Offer             bytes ──> Receiver::next ──> Event | PeerError
//!  server::write_response  -> 101                         │  head decoded, payload unmasked in place,
//!                                                         │  text validated as it arrives
//!  client::Request::write  -> GET
//!  client::check(response) -> protocol          bytes <── encode_frame | encode_control | encode_close
//!  └──────────────────────────────────────┘    └───────────────────────────────────────────────────┘
//!                                state::step: who may still send, receive, and when it is over
//! ```
//!
//! What may enter: anything that can be said of bytes alone. What may not: sockets, time, randomness, threads, user
//! callbacks. The caller owns the buffers (`&mut [u8]` in, `&mut Vec<u8>` out) and supplies the mask keys.
//!
//! # Manual
//!
//! - **Borrowed first.** A frame that lies whole in the input is unmasked there and lent out; nothing is allocated. Only a
//!   message that spans inputs or frames is gathered, once, in memory that grows with what has arrived.
//! - **Two kinds of errors.** [`PeerError`] is the peer's doing and carries the close code that it deserves;
//!   [`UsageError`] is the application's own mistake, and nothing was written when it is returned.
//! - **As early as it is known.** A head is judged byte by byte, text at its offending byte. So what a peer sees does not
//!   depend on how its bytes were cut into segments.
//! - **Everything that grows has a limit**: see [`Limits`].
//! - **Compression** is negotiated in [`extension`] and done in [`deflate`]. The decompressor is the caller's, because many
//!   connections share one: [`Receiver::next_with`] takes it, and [`Receiver::next`] is for connections without
//!   compression, where RSV1 is an error ([`PeerError::ReservedBits`]).
//!
//! ```
//! use tidewire_proto::{Event, Limits, Opcode, Receiver, Role, encode_frame};
//!
//! let mut wire = Vec::new();
//! encode_frame(&mut wire, Opcode::Text, b"hello", Some([1, 2, 3, 4])); // a client's frame is masked
//!
//! let mut receiver = Receiver::new(Role::Server);
//! let mut at = 0;
//! while let Some(event) = receiver.next(&Limits::default(), &mut wire, &mut at)? {
//!     assert_eq!(event, Event::Text("hello".into()));
//! }
//! # Ok::<(), tidewire_proto::PeerError>(())
//! ```

#![forbid(unsafe_code)]

pub mod close;
pub mod deflate;
pub mod error;
pub mod event;
pub mod extension;
pub mod frame;
pub mod handshake;
mod head;
mod limits;
pub mod mask;
mod message;
pub mod receive;
pub mod state;
mod utf8;

pub use close::{CloseReason, encode_close};
pub use error::{PeerError, UsageError};
pub use event::{Ahead, Event};
pub use frame::{Head, Opcode, encode_compressed, encode_control, encode_frame, encode_head, head_len};
pub use limits::{Limits, Role};
pub use receive::Receiver;
