//! Data on a socket: who it is and where, from a cookie and the query of the request.

use std::error::Error;
use std::sync::Mutex;
use std::time::SystemTime;

use cookie::Cookie;
use tidewire::{Request, Server, Upgrade};

struct WebSocketData {
    created_at: SystemTime,
    channel_id: String,
    auth_token: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .fetch(|req, server| async move {
            let data = WebSocketData {
                created_at: SystemTime::now(),
                channel_id: query(&req, "channelId").unwrap_or_default(),
                auth_token: cookie(&req, "X-Token").unwrap_or_default(),
            };
            server.upgrade(&req, Upgrade::new(data))
        })
        .message(|ws, message| {
            // What is awaited runs beside the handlers, on the same thread; it keeps the message, so it needs its own copy.
            let (ws, message) = (ws.clone(), message.text().into_owned());
            ws.clone().spawn(async move {
                let data = ws.data();
                let Some(user) = user_from_token(&data.auth_token).await else {
                    let _ = ws.close(1008, "who are you?");
                    return;
                };
                let age = data.created_at.elapsed().unwrap_or_default();
                let row = format!("{user} in {}: {message}", data.channel_id);
                println!("{row} ({age:?} after the upgrade)");
                let count = save_message_to_database(row).await;
                ws.send(format!("saved as number {count}"));
            });
        })
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}

fn cookie(req: &Request, name: &str) -> Option<String> {
    let header = req.headers().get("cookie")?.to_str().ok()?;
    Cookie::split_parse(header).flatten().find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

fn query(req: &Request, name: &str) -> Option<String> {
    let query = req.uri().query()?.as_bytes();
    form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// In place of a database.
static DATABASE: Mutex<Vec<String>> = Mutex::new(Vec::new());

async fn user_from_token(token: &str) -> Option<String> {
    token.strip_prefix("token-of-").map(str::to_owned)
}

async fn save_message_to_database(row: String) -> usize {
    let mut rows = DATABASE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    rows.push(row);
    rows.len()
}
