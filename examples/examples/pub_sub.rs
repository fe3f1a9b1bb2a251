//! A group chat at `/chat?username=N`. What is typed into the terminal goes to everybody.

use std::error::Error;
use std::io;
use std::thread;

use http::StatusCode;
use tidewire::{IntoReply, Request, Server, Upgrade};

struct User {
    username: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .fetch(|req, server| async move {
            if req.uri().path() == "/chat" {
                let username = username(&req);
                return match server.upgrade(&req, Upgrade::new(User { username })) {
                    Ok(upgraded) => upgraded.into_reply(),
                    Err(_) => (StatusCode::BAD_REQUEST, "Upgrade error").into_reply(),
                };
            }
            "Hello world".into_reply()
        })
        .open(|ws| {
            let message = format!("{} has entered the chat", ws.data().username);
            ws.subscribe("the-group-chat");
            ws.server().publish("the-group-chat", message);
        })
        .message(|ws, message| {
            // The server's publish reaches everybody; the socket's own would leave out its sender.
            ws.server().publish("the-group-chat", format!("{}: {message}", ws.data().username));
            println!("{:?}", ws.subscriptions()); // ["the-group-chat"]
        })
        .close(|ws, _code, _reason| {
            let message = format!("{} has left the chat", ws.data().username);
            ws.unsubscribe("the-group-chat");
            ws.server().publish("the-group-chat", message);
        })
        .workers(2)
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    thread::spawn({
        let server = server.clone();
        move || external_events(&server)
    });
    Ok(server.run()?)
}

/// The server's handle works on every thread, and reaches the subscribers of all workers.
fn external_events(server: &Server) {
    for line in io::stdin().lines().map_while(Result::ok) {
        server.publish("the-group-chat", line);
    }
}

fn username(req: &Request) -> String {
    let query = req.uri().query().unwrap_or_default().as_bytes();
    let name = form_urlencoded::parse(query).find(|(key, _)| key == "username").map(|(_, value)| value.into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "anonymous".to_owned())
}
