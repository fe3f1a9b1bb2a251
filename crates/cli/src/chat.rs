//! `tidewire chat`: the seed's group chat, with a page to use it from.

use clap::Args;
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use tidewire::{Body, Builder, IntoReply, Reply, Request, Response, Server, Upgrade, Ws};

use crate::serve;

/// What an upgrade attaches to a socket.
pub struct Guest {
    username: String,
}

const ROOM: &str = "the-group-chat";
const PAGE: &str = include_str!("../assets/chat.html");
/// The longest name, in characters.
const MAX_NAME: usize = 40;

/// Flags of `tidewire chat`. Not `Flags`: clap wants another name for a group within a group.
#[derive(Debug, Args)]
pub struct ChatFlags {
    #[command(flatten)]
    pub serve: serve::Flags,
    /// Tell nobody who comes and who goes: with thousands of guests that is most of what is said
    #[arg(long)]
    quiet: bool,
}

/// The server.
pub fn room(flags: &ChatFlags) -> Builder<Guest> {
    let quiet = flags.quiet;
    Server::builder()
        .fetch(|req, server| async move {
            if req.headers().contains_key("upgrade") {
                let username = username(&req);
                return server.upgrade(&req, Upgrade::new(Guest { username })).into_reply();
            }
            page(&req)
        })
        .open(move |ws| {
            ws.subscribe(ROOM);
            tell(quiet, ws, &format!("{} has entered the chat", ws.data().username));
        })
        .message(|ws, message| say(ws, &format!("{}: {}", ws.data().username, message.text())))
        .close(move |ws, _, _| {
            ws.unsubscribe(ROOM);
            tell(quiet, ws, &format!("{} has left the chat", ws.data().username));
        })
}

/// Tells everybody who comes and goes, unless it is quiet.
fn tell(quiet: bool, ws: &Ws<Guest>, text: &str) {
    if !quiet {
        say(ws, text);
    }
}

/// Tells everybody, the sender included.
fn say(ws: &Ws<Guest>, text: &str) {
    ws.server().publish(ROOM, text);
}

/// The name in the query, `?name=N`, as a person may be called.
fn username(req: &Request) -> String {
    let query = req.uri().query().unwrap_or_default();
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or_default().replace('+', " ");
    let name = percent_decode_str(&name).decode_utf8_lossy();
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    match name.trim() {
        "" => "anonymous".to_owned(),
        name => name.to_owned(),
    }
}

fn page(req: &Request) -> Reply {
    if req.uri().path() != "/" {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_reply();
    }
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        let mut response = Response::new(Body::from("Method Not Allowed\n"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Reply::Response(response);
    }
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Reply::Response(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(uri: &str) -> String {
        let mut request = Request::default();
        *request.uri_mut() = uri.parse().unwrap();
        username(&request)
    }

    #[test]
    fn names_are_decoded_trimmed_and_bounded() {
        assert_eq!(name("/chat?name=Ada+Lovelace"), "Ada Lovelace");
        assert_eq!(name("/chat?x=1&name=%C3%89va%0A"), "Éva");
        assert_eq!(name("/chat?name=%20"), "anonymous");
        assert_eq!(name("/chat"), "anonymous");
        assert_eq!(name(&format!("/chat?name={}", "x".repeat(100))).len(), MAX_NAME);
    }
}
