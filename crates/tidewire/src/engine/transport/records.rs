//! rustls' unbuffered interface, the same for its server and its client: records in, contents out, and the reverse.

use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error};

use super::Then;

/// One side of a TLS connection. rustls has two types, whose common interface is not a trait of its own.
pub(super) trait Side {
    type Data;

    fn records<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&self) -> &CommonState;
}

macro_rules! side {
    ($($connection:ty => $data:ty;)*) => {$(
        impl Side for $connection {
            type Data = $data;

            #[inline]
            fn records<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, $data> {
                self.process_tls_records(bytes)
            }

            fn common(&self) -> &CommonState {
                self
            }
        }
    )*};
}

side! {
    UnbufferedServerConnection => rustls::server::ServerConnectionData;
    UnbufferedClientConnection => rustls::client::ClientConnectionData;
}

/// How processing ended: what is behind the bytes, and the reason if the peer broke TLS.
pub(super) struct Processed {
    /// How many of the bytes rustls is done with.
    pub used: usize,
    pub then: Then,
    pub failure: Option<Error>,
}

/// Has rustls process bytes until it wants more. Their contents are appended to `plain`, and what is to be said to `waiting`.
pub(super) fn process(side: &mut impl Side, bytes: &mut [u8], plain: &mut Vec<u8>, waiting: &mut Vec<u8>) -> Processed {
    let mut used = 0;
    let (then, failure) = loop {
        let status = side.records(&mut bytes[used..]);
        let discard = status.discard;
        let step = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    plain.extend_from_slice(record.payload);
                }
                None
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, waiting).err().map(|_| (Then::Broken, None)),
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                None
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some((Then::End, None)),
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Some((Then::More, None)),
            Err(error) => {
                tracing::debug!(%error, "a TLS connection failed");
                alert(side, &mut bytes[used..], waiting);
                Some((Then::Broken, Some(error)))
            }
            // Early data is not offered, and what is not known was not asked for.
            Ok(_) => Some((Then::Broken, None)),
        };
        used += discard;
        if let Some(step) = step {
            break step;
        }
    };
    Processed { used, then, failure }
}

/// After a failure, rustls may have an alert for the peer. It is not asked for more than it has: it would fail again.
fn alert(side: &mut impl Side, bytes: &mut [u8], waiting: &mut Vec<u8>) {
    while side.common().wants_write() {
        match side.records(bytes).state {
            Ok(ConnectionState::EncodeTlsData(data)) => drop(encode(data, waiting)),
            _ => return,
        }
    }
}

/// Encrypts bytes to the place `at` in `sealed`; how far it is filled then. After the `last` there is the close_notify.
pub(super) fn seal(
    side: &mut impl Side,
    partial: &mut [u8],
    bytes: &[u8],
    sealed: &mut Vec<u8>,
    mut at: usize,
    last: bool,
) -> io::Result<usize> {
    loop {
        match side.records(partial).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                at += encrypt(&mut traffic, bytes, sealed, at)?;
                if last {
                    at += end(&mut traffic, sealed, at);
                }
                return Ok(at);
            }
            Ok(ConnectionState::EncodeTlsData(data)) => {
                let mut records = Vec::new();
                encode(data, &mut records)?;
                make_room(sealed, at + records.len());
                sealed[at..at + records.len()].copy_from_slice(&records);
                at += records.len();
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            // It reports the peer's close_notify once, wherever it is asked next.
            Ok(ConnectionState::PeerClosed) => {}
            _ => return Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Appends the close_notify to `waiting`, if the handshake is made. One that is not is not ended either: the end of the stream
/// says enough.
pub(super) fn finish(side: &mut impl Side, partial: &mut [u8], waiting: &mut Vec<u8>) {
    loop {
        match side.records(partial).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let at = waiting.len();
                let written = end(&mut traffic, waiting, at);
                return waiting.truncate(at + written);
            }
            Ok(ConnectionState::EncodeTlsData(data)) => {
                if encode(data, waiting).is_err() {
                    return;
                }
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => {}
            _ => return,
        }
    }
}

/// Encrypts to a place in scratch memory; how long the records are.
fn encrypt<Data>(traffic: &mut WriteTraffic<'_, Data>, bytes: &[u8], sealed: &mut Vec<u8>, at: usize) -> io::Result<usize> {
    loop {
        match traffic.encrypt(bytes, &mut sealed[at..]) {
            Ok(written) => return Ok(written),
            Err(EncryptError::InsufficientSize(error)) => make_room(sealed, at + error.required_size),
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    }
}

/// Writes the close_notify to a place in scratch memory; how long it is.
fn end<Data>(traffic: &mut WriteTraffic<'_, Data>, sealed: &mut Vec<u8>, at: usize) -> usize {
    if let Err(EncryptError::InsufficientSize(error)) = traffic.queue_close_notify(&mut []) {
        make_room(sealed, at + error.required_size);
    }
    traffic.queue_close_notify(&mut sealed[at..]).unwrap_or(0)
}

/// Lengthens the scratch memory to at least so many bytes.
pub(super) fn make_room(sealed: &mut Vec<u8>, length: usize) {
    if sealed.len() < length {
        sealed.resize(length, 0);
    }
}

/// Appends handshake records.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> io::Result<()> {
    let at = out.len();
    if let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut []) {
        out.resize(at + error.required_size, 0);
        let written = data.encode(&mut out[at..]).map_err(|error| io::Error::other(error.to_string()))?;
        out.truncate(at + written);
    }
    Ok(())
}
