//! Bodies: what a response is made of, and what a request brings.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Why a body broke off: of a request, the connection is gone, the body is malformed, or it is larger than
/// [`max_request_body`](crate::Options::max_request_body); of a response, what its stream said. A response whose body breaks off
/// ends with its connection.
///
/// ```
/// use std::error::Error;
/// use tidewire::{Request, http::BodyError};
///
/// async fn length(request: Request) -> Result<usize, BodyError> {
///     Ok(request.into_body().bytes().await?.len())
/// }
///
/// fn log(error: &BodyError) {
///     println!("the body broke off: {error}; {:?}", error.source());
/// }
/// # let _ = (length, log);
/// ```
#[derive(Debug)]
pub struct BodyError(Box<dyn Error + Send + Sync>);

impl BodyError {
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// Whether a request's body is larger than [`max_request_body`](crate::Options::max_request_body); otherwise it broke off.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.0.is::<TooLarge>()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request body is larger than max_request_body")]
struct TooLarge;

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The body of a response: nothing, bytes (of a `&'static str`, a `String`, a `Vec<u8>`, `Bytes`), or a stream.
///
/// ```
/// use tidewire::{Body, Response};
///
/// let whole = Response::new(Body::from("hello"));
/// let empty = Response::new(Body::empty());
/// # let _ = (whole, empty);
/// ```
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Whole(Bytes),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError>>>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body that is produced as the peer takes it: it is polled only while less than
    /// [`backpressure_limit`](crate::Options::backpressure_limit) waits for the peer, so it may be endless.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::pin::Pin;
    /// use std::task::{Context, Poll};
    ///
    /// use bytes::Bytes;
    /// use http_body::Frame;
    /// use tidewire::Body;
    ///
    /// struct Countdown(u32);
    ///
    /// impl http_body::Body for Countdown {
    ///     type Data = Bytes;
    ///     type Error = Infallible;
    ///
    ///     fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
    ///         let Some(next) = self.0.checked_sub(1) else { return Poll::Ready(None) };
    ///         self.0 = next;
    ///         Poll::Ready(Some(Ok(Frame::data(format!("{next}\n").into()))))
    ///     }
    /// }
    ///
    /// let body = Body::stream(Countdown(1_000_000));
    /// # let _ = body;
    /// ```
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Inner::Stream(Box::pin(body.map_err(BodyError::new))))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Empty => f.write_str("Body::empty()"),
            Inner::Whole(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Inner::Stream(_) => f.write_str("Body::stream(..)"),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(Inner::Whole(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Inner::Stream(stream) => stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(stream) => stream.size_hint(),
        }
    }
}

/// The body of a request, received as it is read: while it is not read, the peer is not either. More than
/// [`max_request_body`](crate::Options::max_request_body) bytes are an error. It is an `http_body::Body`, to be read in pieces.
///
/// ```
/// use tidewire::Server;
///
/// let builder = Server::builder::<()>().fetch(|req, _server| async move {
///     match req.into_body().bytes().await {
///         Ok(bytes) => format!("{} bytes came", bytes.len()),
///         Err(error) => format!("the body broke off: {error}"),
///     }
/// });
/// # let _ = builder;
/// ```
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    left: u64,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limit: u64) -> Self {
        Self { incoming: Some(incoming), left: limit }
    }

    /// The whole body, in memory.
    ///
    /// # Errors
    /// When the connection breaks off, the body is malformed, or it is larger than
    /// [`max_request_body`](crate::Options::max_request_body).
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        Ok(self.collect().await?.to_bytes())
    }
}

impl Default for RequestBody {
    /// An empty body.
    fn default() -> Self {
        Self { incoming: None, left: 0 }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(incoming).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Some(Ok(frame))
                    }
                    None => {
                        self.incoming = None;
                        Some(Err(BodyError::new(TooLarge)))
                    }
                }
            }
            Some(Err(error)) => Some(Err(BodyError::new(error))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
