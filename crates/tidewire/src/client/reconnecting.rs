//! A [`WebSocket`] that is opened again when it ends (feature `tokio`).

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tidewire_proto::close::CloseReason;
use tokio::time::{Instant, Sleep, sleep};

use super::{ClientError, WebSocket, WebSocketError};
use crate::engine::{Dial, Message, Options, Payload};

/// How long to wait before the next attempt: exponential back-off with full jitter. Before attempt `n` in a row (from 0 after the
/// first failure) it is a random time up to `first` * 2^n, and up to `longest` at most, so that the many clients of a server that
/// restarts do not all come at once.
///
/// ```
/// use std::time::Duration;
/// use tidewire::client::Backoff;
///
/// let backoff = Backoff { attempts: Some(10), ..Backoff::default() };
/// assert_eq!(backoff.ceiling(0), Duration::from_millis(500));
/// assert_eq!(backoff.ceiling(3), Duration::from_secs(4));
/// assert_eq!(backoff.ceiling(40), Duration::from_secs(30));
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    /// The longest wait after the first failure. Default 500 ms.
    pub first: Duration,
    /// The longest wait of all. Default 30 s.
    pub longest: Duration,
    /// How long a connection must have been open for what was before it to be forgotten; one that ends sooner counts as a failed
    /// attempt. Default 10 s.
    pub stable: Duration,
    /// After so many failures in a row it is given up. Default: never.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            attempts: None,
        }
    }
}

impl Backoff {
    /// The longest wait after so many failures before this one.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        self.first
            .checked_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX))
            .map_or(self.longest, |wait| wait.min(self.longest))
    }

    fn wait(&self, failures: u32) -> Duration {
        let mut bytes = [0; 4];
        // Without randomness the longest wait is the safe one.
        let random = getrandom::fill(&mut bytes).map_or(u32::MAX, |()| u32::from_le_bytes(bytes));
        self.ceiling(failures).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be opened.
    NotOpened(ClientError),
    /// It was lost, or the server broke the protocol.
    Lost(WebSocketError),
    /// The server closed it.
    Closed(CloseReason<'static>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpened(error) => error.fmt(f),
            Self::Lost(error) => error.fmt(f),
            Self::Closed(close) if close.reason.is_empty() => write!(f, "the server closed with {}", close.code),
            Self::Closed(close) => write!(f, "the server closed with {}: {}", close.code, close.reason),
        }
    }
}

/// What a [`Reconnecting`] reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins: the number that it has in a row, from 1.
    Connecting(u32),
    /// There is a connection: [`Reconnecting::send`] works.
    Open,
    /// A message has come.
    Message(Message<'static>),
    /// There is no connection any more, or there was none.
    Down {
        /// Why.
        failure: Failure,
        /// When the next attempt begins; `None`: it is given up, and this is the last event.
        retry_in: Option<Duration>,
    },
}

/// A WebSocket that is opened again when it ends, until it is told not to: a [`Stream`] of [`Event`]s (feature `tokio`).
///
/// It does not keep what was sent while there was no connection, nor send again what may have been lost: what that should mean
/// is the application's to say, at [`Event::Open`]. Nothing happens while it is not polled.
///
/// ```no_run
/// use tidewire::client::{Backoff, Dial, Event, Failure, Reconnecting};
///
/// # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
/// let mut feed = Reconnecting::new(Dial::to("wss://example.com/feed")?)
///     .backoff(Backoff { attempts: Some(20), ..Backoff::default() })
///     .give_up_when(|failure| matches!(failure, Failure::Closed(close) if close.code == 4003));
/// while let Some(event) = feed.next().await {
///     match event {
///         Event::Connecting(attempt) => println!("attempt {attempt}"),
///         Event::Open => feed.send("subscribe").await?,
///         Event::Message(message) => println!("{message}"),
///         Event::Down { failure, retry_in: Some(time) } => println!("{failure}; again in {time:?}"),
///         Event::Down { failure, retry_in: None } => println!("{failure}; that was it"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens until it is polled"]
pub struct Reconnecting {
    dial: Dial,
    options: Options,
    backoff: Backoff,
    hopeless: Box<dyn Fn(&Failure) -> bool + Send + Sync>,
    state: State,
    /// Failures in a row.
    failures: u32,
}

enum State {
    Waiting(Option<Pin<Box<Sleep>>>),
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket, ClientError>> + Send>>),
    Open { ws: Box<WebSocket>, since: Instant },
    Over,
}

impl Reconnecting {
    /// Connects as a [`Dial`] says, with the default [`Options`] and [`Backoff`], as soon as it is polled.
    pub fn new(dial: Dial) -> Self {
        let (options, backoff) = (Options::default(), Backoff::default());
        // What is wrong with the request is wrong the next time too.
        let hopeless =
            Box::new(|failure: &Failure| matches!(failure, Failure::NotOpened(ClientError::Dial(_) | ClientError::Url(_))));
        Self { dial, options, backoff, hopeless, state: State::Waiting(None), failures: 0 }
    }

    /// Limits and timeouts of each connection.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How long to wait between attempts, and how many to make.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// After which failures not to try again. Default: [`ClientError::Dial`] and [`ClientError::Url`], which another attempt
    /// would meet too.
    pub fn give_up_when(mut self, hopeless: impl Fn(&Failure) -> bool + Send + Sync + 'static) -> Self {
        self.hopeless = Box::new(hopeless);
        self
    }

    /// The next event; `None` once it was given up or [closed](Reconnecting::close). Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The connection, while there is one.
    pub fn socket(&mut self) -> Option<&mut WebSocket> {
        match &mut self.state {
            State::Open { ws, .. } => Some(ws),
            _ => None,
        }
    }

    /// Sends a message, as [`WebSocket::send`].
    ///
    /// # Errors
    /// [`WebSocketError::Closed`] while there is no connection, and as [`WebSocket::send`].
    pub async fn send(&mut self, message: impl Payload) -> Result<(), WebSocketError> {
        match self.socket() {
            Some(ws) => ws.send(message).await,
            None => Err(WebSocketError::Closed),
        }
    }

    /// Closes the connection if there is one, as [`WebSocket::close`], and makes no other: the stream has ended.
    ///
    /// # Errors
    /// As [`WebSocket::close`].
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), WebSocketError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open { mut ws, .. } => ws.close(code, reason).await,
            _ => Ok(()),
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match &mut self.state {
            State::Over => Poll::Ready(None),
            State::Waiting(wait) => {
                if let Some(wait) = wait {
                    ready!(wait.as_mut().poll(cx));
                }
                let (dial, options) = (self.dial.clone(), self.options.clone());
                self.state = State::Connecting(Box::pin(async move { WebSocket::open(&dial, &options).await }));
                Poll::Ready(Some(Event::Connecting(self.failures + 1)))
            }
            State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                Ok(ws) => {
                    self.state = State::Open { ws: Box::new(ws), since: Instant::now() };
                    Poll::Ready(Some(Event::Open))
                }
                Err(error) => Poll::Ready(Some(self.down(Failure::NotOpened(error)))),
            },
            State::Open { ws, since } => {
                let failure = match ready!(Pin::new(&mut **ws).poll_next(cx)) {
                    Some(Ok(message)) => return Poll::Ready(Some(Event::Message(message))),
                    Some(Err(error)) => Failure::Lost(error),
                    None => match ws.close_reason() {
                        Some(close) => Failure::Closed(close.clone()),
                        None => Failure::Lost(WebSocketError::Ended),
                    },
                };
                if since.elapsed() >= self.backoff.stable {
                    self.failures = 0;
                }
                Poll::Ready(Some(self.down(failure)))
            }
        }
    }

    fn down(&mut self, failure: Failure) -> Event {
        let wait = self.backoff.wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        let given_up = (self.hopeless)(&failure) || self.backoff.attempts.is_some_and(|most| self.failures >= most);
        self.state = if given_up { State::Over } else { State::Waiting(Some(Box::pin(sleep(wait)))) };
        Event::Down { failure, retry_in: (!given_up).then_some(wait) }
    }
}

impl Stream for Reconnecting {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("dial", &self.dial).field("failures", &self.failures).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_anywhere_up_to_a_ceiling_that_doubles() {
        let backoff = Backoff::default();
        let mut halves = [0, 0];
        for failures in 0..200 {
            let (wait, ceiling) = (backoff.wait(failures), backoff.ceiling(failures));
            assert!(wait <= ceiling && ceiling <= backoff.longest, "{failures}: {wait:?}");
            halves[usize::from(wait > ceiling / 2)] += 1;
        }
        // With a fair jitter either half is missed once in 2^200.
        assert!(halves.iter().all(|half| *half > 0), "{halves:?}");
    }
}
