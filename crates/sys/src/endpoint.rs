//! Opening sockets: listeners and outgoing connections, TCP and unix.

use crate::io::{Endpoint, ListenOptions};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Opens a listener; says where it really listens.
pub(crate) fn listen(endpoint: &Endpoint, options: &ListenOptions) -> io::Result<(OwnedFd, Endpoint)> {
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    match endpoint {
        Endpoint::Tcp(address) => {
            let socket = open_tcp(address)?;
            if address.is_ipv6() {
                socket.set_only_v6(options.ipv6_only)?;
            }
            socket.set_reuse_address(true)?;
            if options.reuse_port {
                socket.set_reuse_port(true)?;
            }
            socket.bind(&SockAddr::from(*address))?;
            socket.listen(backlog)?;
            let local = socket.local_addr()?.as_socket().unwrap_or(*address);
            Ok((socket.into(), Endpoint::Tcp(local)))
        }
        Endpoint::Unix(path) => {
            let socket = open_unix()?;
            bind_unix(&socket, path)?;
            socket.listen(backlog)?;
            Ok((socket.into(), endpoint.clone()))
        }
    }
}

/// Begins a connection.
pub(crate) fn connect(endpoint: &Endpoint) -> io::Result<OwnedFd> {
    let (socket, address) = match endpoint {
        Endpoint::Tcp(address) => (open_tcp(address)?, SockAddr::from(*address)),
        Endpoint::Unix(path) => (open_unix()?, SockAddr::unix(path)?),
    };
    match socket.connect(&address) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// How a connection ended that was begun.
pub(crate) fn connected(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    rustix::net::sockopt::socket_error(descriptor)??;
    match rustix::net::getpeername(descriptor) {
        Ok(_) => Ok(()),
        Err(Errno::NOTCONN) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

fn open_tcp(address: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

fn open_unix() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds to a path, and takes it over from a server that died without removing its file.
fn bind_unix(socket: &Socket, path: &Path) -> io::Result<()> {
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address) => {
            fs::remove_file(path)?;
            socket.bind(&address)
        }
        answer => answer,
    }
}

/// Whether a path is a socket at which nobody listens any more. Anything else that is there is not ours to remove.
fn is_stale(path: &Path, address: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && open_unix().is_ok_and(|probe| probe.connect(address).is_err_and(refused))
}

/// The files of our unix listeners, to be removed with them: few, so a list.
#[derive(Debug, Default)]
pub(crate) struct UnixListeners {
    files: Vec<UnixFile>,
}

#[derive(Debug)]
struct UnixFile {
    listener: i32,
    path: PathBuf,
    /// Device and inode: a file of another server that has taken the path over since is not removed.
    identity: (u64, u64),
}

impl UnixListeners {
    /// Remembers the file of a listener. An abstract address has none.
    pub(crate) fn insert(&mut self, listener: i32, path: &Path) {
        if let Some(identity) = identity(path) {
            self.files.push(UnixFile { listener, path: path.to_owned(), identity });
        }
    }

    /// Forgets a listener's file, and leaves it where it is.
    pub(crate) fn remove(&mut self, listener: i32) {
        self.files.retain(|file| file.listener != listener);
    }

    /// Removes a listener's file, if the descriptor is one and the file still the same.
    pub(crate) fn unlink(&mut self, listener: i32) {
        let ours = self.files.iter().position(|file| file.listener == listener);
        if let Some(file) = ours.map(|index| self.files.swap_remove(index)) {
            file.unlink();
        }
    }
}

impl UnixFile {
    fn unlink(self) {
        if identity(&self.path) == Some(self.identity) {
            // A file that somebody removed meanwhile is not missed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for UnixListeners {
    fn drop(&mut self) {
        self.files.drain(..).for_each(UnixFile::unlink);
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}
