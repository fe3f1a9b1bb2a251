//! A tower service beside the WebSockets: an axum router, for example.

use std::error::Error;
use std::future::poll_fn;

use bytes::Bytes;
use tower_service::Service;

use super::builder::Builder;
use super::reply::{FetchError, IntoReply, Reply};
use crate::http::{Body, Request, RequestBody, Response};

impl<T: 'static> Builder<T> {
    /// Has a tower service answer every request that does not ask for an upgrade; those that do go to `fetch`.
    ///
    /// ```
    /// use tidewire::{Server, Upgrade};
    ///
    /// let pages = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    /// let server = Server::builder()
    ///     .service(pages)
    ///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
    ///     .bind("127.0.0.1:0")?;
    /// # let _ = server;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn service<S, B>(mut self, service: S) -> Self
    where
        S: Service<http::Request<RequestBody>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<FetchError>,
        S::Future: 'static,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.handlers.service = Some(Box::new(move |request| Box::pin(answer(service.clone(), request))));
        self
    }
}

async fn answer<S, B>(mut service: S, request: Request) -> Reply
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: Into<FetchError>,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let response: Result<Response, FetchError> = async {
        poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
        Ok(service.call(request).await.map_err(Into::into)?.map(Body::stream))
    }
    .await;
    response.into_reply()
}
