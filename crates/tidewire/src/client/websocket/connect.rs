//! The way to an open [`WebSocket`](super::WebSocket) in an async program: the engine's conversation, over tokio's sockets.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tidewire_sys::Endpoint;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::sleep;

use super::wire::{Scratch, Socket, poll_receive};
use crate::engine::ConnectError;
use crate::engine::dialing::{Conversation, Destination, Opened, STAGGER, interleave};
use crate::engine::transport::Secured;

/// Finds the server and talks until the connection is a WebSocket.
pub(super) async fn open(
    destination: Destination,
    mut conversation: Conversation,
) -> Result<(Socket, Secured, Opened), ConnectError> {
    let endpoints = match destination {
        Destination::Endpoints(endpoints) => endpoints,
        Destination::Name(host, port) => {
            let found = lookup_host((&*host, port)).await.map(|found| interleave(found).into_iter().map(Endpoint::Tcp).collect());
            found.map_err(|error| ConnectError::Resolve { host, error })?
        }
    };
    let mut socket = race(endpoints).await?;
    let (mut tls, mut output) = (None, Vec::new());
    let mut opened = conversation.advance(&mut tls, &[], &mut output)?;
    loop {
        if let Some(opened) = opened {
            return Ok((socket, tls, opened));
        }
        write(&mut socket, &mut tls, &mut output).await?;
        let mut scratch = Scratch::borrow();
        let received = poll_fn(|cx| poll_receive(&mut socket, &mut tls, cx, &mut scratch)).await;
        let Ok(received) = received else {
            let why = conversation.broken(&tls);
            // The alert that says why; whether it arrives changes nothing.
            let _ = write(&mut socket, &mut tls, &mut output).await;
            return Err(why);
        };
        opened = conversation.advance(&mut tls, scratch.received(&received), &mut output)?;
        scratch.give_back();
        if received.end && opened.is_none() {
            return Err(ConnectError::Ended);
        }
    }
}

/// Sends what the session has to say and what is to be said through it.
async fn write(socket: &mut Socket, tls: &mut Secured, output: &mut Vec<u8>) -> Result<(), ConnectError> {
    let mut bytes = std::mem::take(output);
    if let Some(session) = tls {
        if bytes.is_empty() {
            bytes = session.waiting().to_vec();
            session.advance(bytes.len());
        } else {
            let mut sealed = Vec::new();
            let length = session.seal(&bytes, &mut sealed, false).map_err(|_| ConnectError::Ended)?;
            sealed.truncate(length);
            bytes = sealed;
        }
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let sent = poll_fn(|cx| socket.poll_write(cx, rest)).await.map_err(|_| ConnectError::Ended)?;
        rest = &rest[sent..];
    }
    Ok(())
}

type Attempt = Pin<Box<dyn Future<Output = (Endpoint, io::Result<Socket>)> + Send>>;

async fn attempt(endpoint: Endpoint) -> (Endpoint, io::Result<Socket>) {
    let socket = match &endpoint {
        Endpoint::Tcp(address) => TcpStream::connect(*address).await.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(Socket::Tcp(stream))
        }),
        Endpoint::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
    };
    (endpoint, socket)
}

/// The first socket that is established (RFC 8305, section 5): the next attempt begins beside the others after a time, or when
/// one of them has failed. The rest are dropped with this future.
async fn race(endpoints: Vec<Endpoint>) -> Result<Socket, ConnectError> {
    let mut waiting: VecDeque<Endpoint> = endpoints.into();
    let (mut attempts, mut failures): (Vec<Attempt>, Vec<_>) = (Vec::new(), Vec::new());
    loop {
        match waiting.pop_front() {
            Some(endpoint) => attempts.push(Box::pin(attempt(endpoint))),
            None if attempts.is_empty() => return Err(ConnectError::Unreachable(failures)),
            None => {}
        }
        let mut alone = (!waiting.is_empty()).then(|| Box::pin(sleep(STAGGER)));
        let done = poll_fn(|cx| {
            for (place, attempt) in attempts.iter_mut().enumerate() {
                if let Poll::Ready(done) = attempt.as_mut().poll(cx) {
                    return Poll::Ready(Some((place, done)));
                }
            }
            match &mut alone {
                Some(alone) => alone.as_mut().poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await;
        match done {
            Some((_, (_, Ok(socket)))) => return Ok(socket),
            Some((place, (endpoint, Err(error)))) => {
                drop(attempts.swap_remove(place));
                failures.push((endpoint, error));
            }
            None => {}
        }
    }
}
