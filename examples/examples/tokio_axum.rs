//! Beside tokio and axum: the router has the pages, `fetch` the WebSockets, and tokio's timers work in both.

use std::error::Error;
use std::time::Duration;

use axum::response::Html;
use axum::{Router, routing::get};
use tidewire::{Server, Upgrade};

/// What the browser runs.
const PAGE: &str = r#"<!doctype html>
<title>Tidewire</title>
<pre></pre>
<script>
  const socket = new WebSocket(`ws://${location.host}/chat`);
  socket.addEventListener("open", () => socket.send("hello"));
  socket.addEventListener("message", event => {
    document.querySelector("pre").append(event.data + "\n");
  });
</script>
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pages = Router::new().route("/", get(|| async { Html(PAGE) }));
    let server = Server::builder()
        .service(pages)
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .message(|ws, message| {
            let (ws, message) = (ws.clone(), message.text().into_owned());
            ws.clone().spawn(async move {
                for tenth in 1..=3 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    ws.send(format!("{message}, {tenth} tenths of a second later"));
                }
            });
        })
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.serve().await?)
}
