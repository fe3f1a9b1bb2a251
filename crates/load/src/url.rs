//! Where a server is.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

use crate::error::{LoadError, Result, connecting};

/// How long one of several addresses is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server's address: `ws://HOST[:PORT]/PATH`, or `wss://` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Whether it is spoken to through TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host without its port; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host and the port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The address that all connections go to: of several the first that takes one.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let open = |reason| LoadError::Open { open: 0, wanted: 1, reason };
        let lookup = (self.host(), self.port).to_socket_addrs();
        let addresses: Vec<_> =
            lookup.map_err(|error| open(format!("the name {} is not known here: {error}", self.host)))?.collect();
        match addresses[..] {
            [] => Err(open(format!("the name {} has no address", self.host))),
            [only] => Ok(only),
            _ => {
                let mut last = None;
                for address in addresses {
                    match TcpStream::connect_timeout(&address, PATIENCE) {
                        Ok(_) => return Ok(address),
                        Err(error) => last = Some(error),
                    }
                }
                Err(open(last.map_or_else(String::new, |error| connecting(&error, self))))
            }
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let shape = "write ws://HOST:PORT/PATH, or wss:// for TLS";
        let uri: Uri = text.parse().map_err(|error| format!("{error}: {shape}"))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some("http") => return Err("http:// is spoken before the upgrade only: write ws://".into()),
            Some("https") => return Err("https:// is spoken before the upgrade only: write wss://".into()),
            _ => return Err(shape.into()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(shape)?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { secure, host, port, path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_a_path() {
        let url: Url = "ws://127.0.0.1:81/chat?name=x".parse().unwrap();
        assert_eq!((url.authority().as_str(), url.path(), url.is_secure()), ("127.0.0.1:81", "/chat?name=x", false));
        assert_eq!("wss://example.com".parse::<Url>().unwrap().to_string(), "wss://example.com:443/");
        let six: Url = "ws://[::1]".parse().unwrap();
        assert_eq!((six.authority().as_str(), six.host()), ("[::1]:80", "::1"));
        assert!(six.address().unwrap().is_ipv6());
    }

    #[test]
    fn what_is_none_says_what_to_write() {
        for (wrong, said) in
            [("http://a/", "write ws://"), ("https://a", "write wss://"), ("localhost:3000", "ws://HOST"), ("", "ws://HOST")]
        {
            let error = wrong.parse::<Url>().unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
