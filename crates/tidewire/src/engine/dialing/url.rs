//! The URL of a WebSocket (RFC 6455, section 3) or of a proxy: which host, which port, which resource.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;

/// Why a string is no URL to connect to (RFC 6455, section 3).
///
/// ```
/// use tidewire::Client;
///
/// let error = Client::builder().run("ws://127.0.0.1:3000/#part").unwrap_err();
/// assert_eq!(error.to_string(), "the URL of a WebSocket has no fragment (#...)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It cannot be parsed.
    #[error("{0:?} is no URL; one looks like ws://example.com:3000/chat, or ws+unix:/run/chat.sock:/chat")]
    Malformed(String),
    /// Its scheme is another.
    #[error("the scheme is {0:?}; it must be ws or wss (http and https are the same), ws+unix or wss+unix")]
    Scheme(String),
    /// A proxy's scheme is another.
    #[error("the proxy's scheme is {0:?}; it must be http or https")]
    ProxyScheme(String),
    /// This build speaks no TLS.
    #[error("{0:?} needs TLS, which this build does not have: enable the feature `tls`")]
    NoTls(String),
    /// It has a fragment (RFC 6455, section 3: there must be none).
    #[error("the URL of a WebSocket has no fragment (#...)")]
    Fragment,
}

/// What is needed of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub secure: bool,
    pub place: Place,
    /// For the Host header: with the port, if it is not the scheme's own.
    pub authority: String,
    pub resource: String,
    /// The value of a header that shows the user's name and password, if the URL has them.
    pub credentials: Option<String>,
}

/// Where a server or a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name or an address, without brackets.
    Host(String, u16),
    Unix(PathBuf),
}

impl Target {
    /// The name that a certificate must be for.
    #[cfg(feature = "tls")]
    pub fn host(&self) -> &str {
        match &self.place {
            Place::Host(host, _) => host,
            Place::Unix(_) => "localhost",
        }
    }

    /// Host and port, as CONNECT names them (RFC 9110, section 9.3.6); `None` on a unix socket.
    pub fn host_and_port(&self) -> Option<String> {
        match &self.place {
            Place::Host(host, port) if host.contains(':') => Some(format!("[{host}]:{port}")),
            Place::Host(host, port) => Some(format!("{host}:{port}")),
            Place::Unix(_) => None,
        }
    }
}

/// Takes the URL of a WebSocket apart.
pub(crate) fn websocket(url: &str) -> Result<Target, UrlError> {
    if url.contains('#') {
        return Err(UrlError::Fragment);
    }
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let secure = match scheme.as_deref() {
        Some("ws" | "http") => false,
        Some("wss" | "https") => true,
        Some("ws+unix") => return unix(url, false),
        Some("wss+unix") => return unix(url, true),
        Some(other) if url.contains("://") => return Err(UrlError::Scheme(other.to_owned())),
        _ => return Err(UrlError::Malformed(url.to_owned())),
    };
    host(url, secure)
}

/// Takes the URL of a proxy apart.
pub(super) fn proxy(url: &str) -> Result<Target, UrlError> {
    match url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        Some("http") => host(url, false),
        Some("https") => host(url, true),
        Some(other) => Err(UrlError::ProxyScheme(other.to_owned())),
        None => Err(UrlError::Malformed(url.to_owned())),
    }
}

fn host(url: &str, secure: bool) -> Result<Target, UrlError> {
    check_tls(url, secure)?;
    let malformed = || UrlError::Malformed(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| malformed())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
    let usual = if secure { 443 } else { 80 };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let (user, address) = authority.rsplit_once('@').map_or((None, authority), |(user, address)| (Some(user), address));
    let port = match address.strip_prefix(host).and_then(|rest| rest.strip_prefix(':')).filter(|port| !port.is_empty()) {
        Some(port) => port.parse().map_err(|_| malformed())?,
        None => usual,
    };
    let authority = if port == usual { host.to_owned() } else { format!("{host}:{port}") };
    let resource = uri.path_and_query().map_or("/", |resource| resource.as_str());
    // A URL with a query but no path asks for the root.
    let resource = if resource.starts_with('/') { resource.to_owned() } else { format!("/{resource}") };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Target { secure, place: Place::Host(host, port), authority, resource, credentials: user.map(basic) })
}

/// `ws+unix:/path/of/socket:/resource`, also with `//` behind the scheme, as npm's `ws` has it.
fn unix(url: &str, secure: bool) -> Result<Target, UrlError> {
    check_tls(url, secure)?;
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, resource) = rest.split_once(':').unwrap_or((rest, "/"));
    if path.is_empty() || !resource.starts_with('/') {
        return Err(UrlError::Malformed(url.to_owned()));
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| UrlError::Malformed(url.to_owned()))?;
    let place = Place::Unix(PathBuf::from(path.into_owned()));
    Ok(Target { secure, place, authority: "localhost".to_owned(), resource: resource.to_owned(), credentials: None })
}

fn check_tls(url: &str, secure: bool) -> Result<(), UrlError> {
    if secure && cfg!(not(feature = "tls")) { Err(UrlError::NoTls(url.to_owned())) } else { Ok(()) }
}

/// `user:password` of a URL, percent-encoded there, as HTTP wants it (RFC 7617).
fn basic(user: &str) -> String {
    let user = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
    let decoded: Vec<u8> = percent_decode_str(&user).collect();
    format!("Basic {}", STANDARD.encode(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_port_and_resource() {
        let is = |url, host: &str, port, authority: &str, resource: &str| {
            let target = websocket(url).unwrap();
            assert_eq!(target.place, Place::Host(host.to_owned(), port), "{url}");
            assert_eq!((&*target.authority, &*target.resource), (authority, resource), "{url}");
        };
        is("ws://a/chat?name=N", "a", 80, "a", "/chat?name=N");
        is("http://a:8080", "a", 8080, "a:8080", "/");
        is("WS://a:80/", "a", 80, "a", "/");
        is("ws://a?x=1", "a", 80, "a", "/?x=1");
        is("ws://[::1]:1/", "::1", 1, "[::1]:1", "/");
        assert_eq!(websocket("ws://[::1]:1/").unwrap().host_and_port(), Some("[::1]:1".to_owned()));
        #[cfg(feature = "tls")]
        {
            is("wss://a/", "a", 443, "a", "/");
            is("https://a:80/", "a", 80, "a:80", "/");
            assert!(websocket("wss://a/").unwrap().secure);
        }
    }

    #[test]
    fn credentials_are_decoded_and_unix_paths_taken_apart() {
        let target = websocket("ws://us%65r:p%40ss@a:1/").unwrap();
        // base64 of user:p@ss
        assert_eq!((target.credentials.as_deref(), &*target.authority), (Some("Basic dXNlcjpwQHNz"), "a:1"));
        for url in ["ws+unix:/run/a%20b:/chat?x", "ws+unix:///run/a%20b:/chat?x"] {
            let target = websocket(url).unwrap();
            assert_eq!(target.place, Place::Unix("/run/a b".into()), "{url}");
            assert_eq!((&*target.authority, &*target.resource), ("localhost", "/chat?x"));
        }
        assert_eq!(websocket("ws+unix:/run/a").unwrap().resource, "/");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused_with_a_reason() {
        assert_eq!(websocket("ws://a/#b"), Err(UrlError::Fragment));
        assert_eq!(websocket("ftp://a/"), Err(UrlError::Scheme("ftp".into())));
        assert_eq!(proxy("socks5://a/"), Err(UrlError::ProxyScheme("socks5".into())));
        for url in
            ["/chat", "ws://a b/", "ws://", "ws://a:70000/", "ws://a:b/", "ws+unix:", "ws+unix:/run/a:chat", "a:3000", "ws:a"]
        {
            assert!(matches!(websocket(url), Err(UrlError::Malformed(_))), "{url}");
        }
    }
}
