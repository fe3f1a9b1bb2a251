//! Opening the listeners of all workers, before any of them runs: a taken port is known at once.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};

use tidewire_sys::{Choice, Endpoint, Io, ListenOptions, Listening};

/// Why a server could not listen.
///
/// ```
/// use tidewire::{BindError, Server};
///
/// let error = Server::builder::<()>().bind("nowhere").unwrap_err();
/// assert!(matches!(error, BindError::Address { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken.
    #[error("cannot listen on {0}: something listens there already; choose another port, or 0 for a free one")]
    Taken(Endpoint),
    /// The system refused for another reason.
    #[error("cannot listen on {endpoint}: {error}")]
    System {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        error: io::Error,
    },
    /// The address is none.
    #[error("{address:?} is no address to listen on: {error}")]
    Address {
        /// What was given.
        address: String,
        /// Why it is none.
        error: io::Error,
    },
    /// The poller could not be set up.
    #[error("cannot set up a worker: {0}")]
    Worker(io::Error),
}

/// Where to listen: what can be given to `bind` and `listen`.
///
/// A string is `host:port`, or `unix:` and a path; a host with its port, a socket address and a path are what they are. Of a
/// name's addresses the first is taken. Port 0 picks a free one: see [`Server::port`](super::Server::port).
///
/// ```
/// use tidewire::{BindError, server::Listen, sys::Endpoint};
///
/// assert_eq!(("127.0.0.1", 3000).endpoint()?, Endpoint::Tcp(([127, 0, 0, 1], 3000).into()));
/// assert_eq!("unix:socket".endpoint()?, Endpoint::Unix("socket".into()));
/// # Ok::<(), BindError>(())
/// ```
pub trait Listen {
    /// The endpoint.
    ///
    /// # Errors
    /// [`BindError::Address`] when it is none, or the system does not know the name.
    fn endpoint(self) -> Result<Endpoint, BindError>;
}

impl Listen for &str {
    fn endpoint(self) -> Result<Endpoint, BindError> {
        if let Some(path) = self.strip_prefix("unix:") {
            return Ok(Endpoint::Unix(path.into()));
        }
        let bad = |error| BindError::Address { address: self.to_owned(), error };
        let mut addresses = self.to_socket_addrs().map_err(bad)?;
        let none = || bad(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        addresses.next().map(Endpoint::Tcp).ok_or_else(none)
    }
}

impl Listen for SocketAddr {
    fn endpoint(self) -> Result<Endpoint, BindError> {
        Ok(Endpoint::Tcp(self))
    }
}

impl Listen for (&str, u16) {
    fn endpoint(self) -> Result<Endpoint, BindError> {
        format!("{}:{}", self.0, self.1).as_str().endpoint()
    }
}

impl Listen for &Path {
    fn endpoint(self) -> Result<Endpoint, BindError> {
        Ok(Endpoint::Unix(self.into()))
    }
}

impl Listen for PathBuf {
    fn endpoint(self) -> Result<Endpoint, BindError> {
        Ok(Endpoint::Unix(self))
    }
}

impl Listen for Endpoint {
    fn endpoint(self) -> Result<Endpoint, BindError> {
        Ok(self)
    }
}

/// What a worker needs to begin: its poller, and the listeners that it owns.
pub(crate) struct Seat {
    pub io: Box<dyn Io + Send>,
    /// With whether its connections are to be spread over all workers.
    pub listeners: Vec<(Listening, bool)>,
}

/// Sets up `workers` seats that listen on all of `endpoints`.
pub(crate) fn seats(
    endpoints: &[Endpoint],
    options: &ListenOptions,
    workers: usize,
) -> Result<(Vec<Seat>, Vec<Endpoint>), BindError> {
    let mut seats = Vec::with_capacity(workers);
    let choice = Choice::from_environment().map_err(BindError::Worker)?;
    for _ in 0..workers {
        seats.push(Seat { io: crate::engine::open_io(choice).map_err(BindError::Worker)?, listeners: Vec::new() });
    }
    let mut locals = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        locals.push(listen(&mut seats, endpoint, options)?);
    }
    Ok((seats, locals))
}

fn listen(seats: &mut [Seat], endpoint: &Endpoint, options: &ListenOptions) -> Result<Endpoint, BindError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken(endpoint.clone()),
        _ => BindError::System { endpoint: endpoint.clone(), error },
    };
    let shared = seats.len() > 1 && matches!(endpoint, Endpoint::Tcp(_)) && cfg!(target_os = "linux");
    if shared && !options.reuse_port {
        // Our workers share the port with each other, but not with another server: ask for it alone first.
        if let Endpoint::Tcp(address) = endpoint {
            TcpListener::bind(address).map_err(failed)?;
        }
    }
    let options = ListenOptions { reuse_port: options.reuse_port || shared, ..options.clone() };
    let mut local = endpoint.clone();
    let spread = seats.len() > 1 && !shared;
    let owners = if shared { seats.len() } else { 1 };
    for seat in &mut seats[..owners] {
        // Port 0 is the first worker's to pick; the others follow.
        let listening = seat.io.listen(&local, &options).map_err(failed)?;
        local = listening.local.clone();
        seat.listeners.push((listening, spread));
    }
    Ok(local)
}
