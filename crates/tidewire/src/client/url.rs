//! The URL of a WebSocket (RFC 6455, section 3): which host, which port, which resource.

use http::Uri;

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
    #[error("{0:?} is no URL; one looks like ws://example.com:3000/chat")]
    Malformed(String),
    /// Its scheme is another.
    #[error("the scheme is {0:?}; it must be ws (or http)")]
    Scheme(String),
    /// TLS is not there yet.
    #[error("wss is not supported by this client yet; use ws")]
    Tls,
    /// It has a fragment (RFC 6455, section 3: there must be none).
    #[error("the URL of a WebSocket has no fragment (#...)")]
    Fragment,
}

/// What is needed of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// To resolve.
    pub host: String,
    pub port: u16,
    /// For the Host header: with the port, if it is not the scheme's own.
    pub authority: String,
    pub resource: String,
}

pub(super) fn parse(url: &str) -> Result<Target, UrlError> {
    if url.contains('#') {
        return Err(UrlError::Fragment);
    }
    let malformed = || UrlError::Malformed(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| malformed())?;
    match uri.scheme_str() {
        Some("ws" | "http") => {}
        Some("wss" | "https") => return Err(UrlError::Tls),
        Some(other) => return Err(UrlError::Scheme(other.to_owned())),
        None => return Err(malformed()),
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
    let port = uri.port_u16().unwrap_or(80);
    let authority = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
    let resource = uri.path_and_query().map_or("/", |resource| resource.as_str());
    // A URL with a query but no path asks for the root.
    let resource = if resource.starts_with('/') { resource.to_owned() } else { format!("/{resource}") };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Target { host, port, authority, resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_port_and_resource() {
        let target = |url| parse(url).map(|target| (target.host, target.port, target.authority, target.resource));
        let is = |host: &str, port, authority: &str, resource: &str| {
            Ok((host.to_owned(), port, authority.to_owned(), resource.to_owned()))
        };
        assert_eq!(target("ws://a/chat?name=N"), is("a", 80, "a", "/chat?name=N"));
        assert_eq!(target("http://a:8080"), is("a", 8080, "a:8080", "/"));
        assert_eq!(target("ws://a?x=1"), is("a", 80, "a", "/?x=1"));
        assert_eq!(target("ws://[::1]:1/"), is("::1", 1, "[::1]:1", "/"));
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused_with_a_reason() {
        assert_eq!(parse("ws://a/#b"), Err(UrlError::Fragment));
        assert_eq!(parse("ftp://a/"), Err(UrlError::Scheme("ftp".into())));
        assert_eq!(parse("wss://a/"), Err(UrlError::Tls));
        assert!(matches!(parse("/chat"), Err(UrlError::Malformed(_))));
        assert!(matches!(parse("ws://a b/"), Err(UrlError::Malformed(_))));
    }
}
