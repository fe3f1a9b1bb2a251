//! What a client asks for: where, by which way, with which handshake.

use std::collections::VecDeque;
use std::net::IpAddr;

use tidewire_proto::extension::Proposal;
use tidewire_proto::handshake::client::{Request, encode_key};
use tidewire_sys::Endpoint;

use super::conversation::{Conversation, Leg, Upgrade};
use super::error::DialError;
use super::proxy::Proxy;
use super::url::{self, Place, Target, UrlError};
#[cfg(feature = "deflate")]
use crate::engine::Deflate;
use crate::engine::options::Options;
#[cfg(feature = "tls")]
use crate::tls::{Connector, TlsError};

/// What a client asks for: a URL, the way to it, and the handshake (RFC 6455, section 4.1). It can be used any number of times;
/// each time has its own random key.
///
/// ```
/// use tidewire::engine::Dial;
///
/// let dial = Dial::to("ws://localhost:3000/chat?name=N")?.protocol("chat.v2").header("authorization", "Bearer of-a-token");
/// assert!(Dial::to("no URL").is_err());
/// # let _ = dial;
/// # Ok::<(), tidewire::client::UrlError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dial {
    target: Target,
    headers: Vec<(String, String)>,
    protocols: Vec<String>,
    endpoints: Vec<Endpoint>,
    proxy: Option<Proxy>,
    #[cfg(feature = "deflate")]
    deflate: Option<Deflate>,
    #[cfg(feature = "tls")]
    connector: Option<Connector>,
}

/// Whom to connect to first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Endpoints(Vec<Endpoint>),
    /// A name to look up, and a port.
    Name(String, u16),
}

impl Dial {
    /// A handshake for a URL: `ws://` and `wss://`, for which `http://` and `https://` are other names; or
    /// `ws+unix:/path/of/socket:/resource` and `wss+unix:`, as npm's `ws` has them. A name and a password in it go into
    /// Authorization (Basic), unless a header of that name is given. A name that is not ASCII must come in its IDNA form.
    ///
    /// # Errors
    /// [`UrlError`] when it is no such URL.
    pub fn to(url: &str) -> Result<Self, UrlError> {
        Ok(Self {
            target: url::websocket(url)?,
            headers: Vec::new(),
            protocols: Vec::new(),
            endpoints: Vec::new(),
            proxy: None,
            #[cfg(feature = "deflate")]
            deflate: None,
            #[cfg(feature = "tls")]
            connector: None,
        })
    }

    /// Adds a header to the handshake. As in Bun, it may replace Host and a valid Sec-WebSocket-Key; `Connection`, `Upgrade`,
    /// `Sec-WebSocket-Version` and their like are ignored. One that cannot be sent (CR, LF, NUL) makes connecting fail, before
    /// anything is sent.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers a subprotocol (RFC 6455, section 1.9); the first is the one that is liked best. The server must choose one of
    /// them, or the handshake fails (as in browsers and Bun).
    #[must_use]
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocols.push(protocol.to_owned());
        self
    }

    /// Offers compression, or not, whatever the worker's [`Options`] say.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn per_message_deflate(mut self, deflate: impl Into<Deflate>) -> Self {
        self.deflate = Some(deflate.into());
        self
    }

    /// Secures a `wss://` connection so. Default: as [`ClientTls::new`](crate::tls::ClientTls::new) does.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, connector: &Connector) -> Self {
        self.connector = Some(connector.clone());
        self
    }

    /// Goes through a proxy (not to a unix socket). Default: directly.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connects to these, tried in this order, instead of asking the system for the addresses of the URL's (or the proxy's)
    /// host.
    #[must_use]
    pub fn at(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints.extend(endpoints);
        self
    }

    /// The proxy, where there is one to go through.
    fn way(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| matches!(self.target.place, Place::Host(..)))
    }

    pub(crate) fn destination(&self) -> Destination {
        if !self.endpoints.is_empty() {
            return Destination::Endpoints(self.endpoints.clone());
        }
        match &self.way().map_or(&self.target, |proxy| &proxy.target).place {
            Place::Unix(path) => Destination::Endpoints(vec![Endpoint::Unix(path.clone())]),
            Place::Host(host, port) => match host.parse::<IpAddr>() {
                Ok(address) => Destination::Endpoints(vec![Endpoint::Tcp((address, *port).into())]),
                Err(_) => Destination::Name(host.clone(), *port),
            },
        }
    }

    /// Whether what is sent is to be compressed, where that is agreed on.
    pub(crate) fn compresses(&self, options: &Options) -> bool {
        #[cfg(feature = "deflate")]
        let compresses = self.deflate.unwrap_or(options.per_message_deflate).compresses();
        #[cfg(not(feature = "deflate"))]
        let compresses = {
            let _ = options;
            false
        };
        compresses
    }

    fn proposal(&self, options: &Options) -> Option<Proposal> {
        #[cfg(feature = "deflate")]
        if let Some(deflate) = self.deflate {
            return deflate.policy().map(Proposal::new);
        }
        options.policy().map(Proposal::new)
    }

    /// What is to be said on the way.
    pub(crate) fn conversation(&self, options: &Options) -> Result<Conversation, DialError> {
        let mut legs = VecDeque::new();
        if let (Some(proxy), Some(destination)) = (self.way(), self.target.host_and_port()) {
            #[cfg(feature = "tls")]
            if proxy.target.secure {
                legs.push_back(secure(&proxy.target, proxy.connector.as_ref())?);
            }
            legs.push_back(Leg::Tunnel(proxy.request(&destination)?));
        }
        #[cfg(feature = "tls")]
        if self.target.secure {
            legs.push_back(secure(&self.target, self.connector.as_ref())?);
        }
        legs.push_back(Leg::Upgrade(Box::new(self.upgrade(options)?)));
        Ok(Conversation::new(legs))
    }

    fn upgrade(&self, options: &Options) -> Result<Upgrade, DialError> {
        let mut nonce = [0; 16];
        if let Err(error) = getrandom::fill(&mut nonce) {
            // As with mask keys: better no handshake at all than a predictable one.
            panic!("the system gives no random bytes: {error}");
        }
        let key = encode_key(&nonce);
        let mut request = Request::new(&self.target.authority, &self.target.resource, &key);
        for protocol in &self.protocols {
            request = request.protocol(protocol);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let own = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some(credentials) = self.target.credentials.as_deref().filter(|_| !own) {
            request = request.header("Authorization", credentials);
        }
        let compression = self.proposal(options);
        if let Some(proposal) = compression {
            request = request.compression(proposal);
        }
        let mut head = Vec::with_capacity(256);
        request.write(&mut head)?;
        // What is judged is what was really sent: an application's header may have replaced ours.
        let (key, protocols) = (*request.key(), request.offered().into_iter().map(str::to_owned).collect());
        Ok(Upgrade { head, key, protocols, compression })
    }
}

#[cfg(feature = "tls")]
fn secure(target: &Target, connector: Option<&Connector>) -> Result<Leg, TlsError> {
    let connector = match connector {
        Some(connector) => connector.clone(),
        None => Connector::usual()?,
    };
    Ok(Leg::Secure { host: target.host().to_owned(), connector, begun: false })
}
