//! A proxy that opens a tunnel for us (RFC 9110, section 9.3.6).

use super::url::{self, Target, UrlError};
#[cfg(feature = "tls")]
use crate::tls::Connector;
use tidewire_proto::UsageError;

/// An HTTP proxy to connect through, with CONNECT, whatever the scheme of the WebSocket is: what goes through the tunnel is
/// not the proxy's to read. Environment variables are not looked at.
///
/// ```
/// use tidewire::engine::{Dial, Proxy};
///
/// let proxy = Proxy::at("http://user:password@proxy.example:3128")?.header("x-team", "chat");
/// let dial = Dial::to("ws://example.com/")?.proxy(proxy);
/// # let _ = dial;
/// # Ok::<(), tidewire::client::UrlError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    pub(super) target: Target,
    pub(super) headers: Vec<(String, String)>,
    #[cfg(feature = "tls")]
    pub(super) connector: Option<Connector>,
}

impl Proxy {
    /// A proxy at an `http://` or `https://` URL; the latter is spoken to through TLS. A name and a password in it go into
    /// Proxy-Authorization (Basic, RFC 7617).
    ///
    /// # Errors
    /// [`UrlError`] when it is no such URL.
    pub fn at(url: &str) -> Result<Self, UrlError> {
        let target = url::proxy(url)?;
        Ok(Self {
            target,
            headers: Vec::new(),
            #[cfg(feature = "tls")]
            connector: None,
        })
    }

    /// Adds a header to the request for the tunnel. One that cannot be sent (CR, LF, NUL) makes connecting fail.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Secures the way to the proxy so, if it is `https://`. Default: as [`ClientTls::new`](crate::tls::ClientTls::new) does.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, connector: &Connector) -> Self {
        self.connector = Some(connector.clone());
        self
    }

    /// The request for a tunnel to `destination`, a host and a port.
    pub(super) fn request(&self, destination: &str) -> Result<Vec<u8>, UsageError> {
        let mut head = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
        let ours = ["host", "content-length", "transfer-encoding"];
        let own = self.headers.iter().filter(|(name, _)| !ours.iter().any(|ours| ours.eq_ignore_ascii_case(name)));
        let given = own.clone().any(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
        let credentials = self.target.credentials.as_deref().filter(|_| !given);
        let credentials = credentials.map(|value| ("Proxy-Authorization", value));
        for (name, value) in own.map(|(name, value)| (&**name, &**value)).chain(credentials) {
            if http::HeaderName::try_from(name).is_err() {
                return Err(UsageError::HeaderName(name.to_owned()));
            }
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(UsageError::HeaderValue(name.to_owned()));
            }
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        Ok(head.into_bytes())
    }
}

/// Its name and password are nobody's to log.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("at", &self.target.authority).field("secure", &self.target.secure).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_destination_and_shows_who_asks() {
        let request = |proxy: Proxy| String::from_utf8(proxy.request("a:1").unwrap()).unwrap();
        let proxy = Proxy::at("http://u:p@proxy:8080").unwrap();
        let expected = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nx: y\r\nProxy-Authorization: Basic dTpw\r\n\r\n";
        assert_eq!(request(proxy.clone().header("x", "y").header("Host", "evil")), expected);
        let own = request(proxy.clone().header("proxy-authorization", "Bearer t"));
        assert_eq!(own, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nproxy-authorization: Bearer t\r\n\r\n");
        assert!(proxy.clone().header("a b", "").request("a:1").is_err());
        assert!(proxy.header("a", "b\r\nc").request("a:1").is_err());
    }
}
