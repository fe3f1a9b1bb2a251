//! Beside tokio: `serve` on both flavours of runtime, `run` refused where it would block, and an axum router for the rest.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::time::Duration;

use tidewire::server::RunError;
use tidewire::{Server, Upgrade};
use tidewire_kit::client::Message;
use tidewire_kit::real;
use tokio::runtime::{Builder, Runtime};

fn runtimes() -> [(&'static str, Runtime); 2] {
    [
        ("current_thread", Builder::new_current_thread().enable_all().build().unwrap()),
        ("multi_thread", Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
    ]
}

/// Talks to the server from a thread of its own, then stops it.
fn drive(server: &Server, talk: impl FnOnce(std::net::SocketAddr) + Send + 'static) -> std::thread::JoinHandle<()> {
    let server = server.clone();
    std::thread::spawn(move || {
        // However the talk ends, the server must.
        struct Stop(Server);
        impl Drop for Stop {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let stop = Stop(server);
        talk(([127, 0, 0, 1], stop.0.port().unwrap()).into());
    })
}

#[test]
fn futures_of_fetch_and_spawn_use_tokios_timers_sockets_and_tasks() {
    for (flavour, runtime) in runtimes() {
        for workers in [1, 4] {
            let server = Server::builder()
                .workers(workers)
                .fetch(|req, server| async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let answer = tokio::spawn(async { 42 }).await.unwrap();
                    server.upgrade(&req, Upgrade::new(answer))
                })
                .message(|ws, message| {
                    let (ws, text) = (ws.clone(), message.text().into_owned());
                    ws.clone().spawn(async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        // A socket of tokio's, driven by the runtime while the worker polls the future.
                        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                        socket.send_to(text.as_bytes(), socket.local_addr().unwrap()).await.unwrap();
                        let mut buffer = [0; 100];
                        let length = socket.recv(&mut buffer).await.unwrap();
                        ws.send(format!("{} {}", String::from_utf8_lossy(&buffer[..length]), ws.data()));
                    });
                })
                .bind("127.0.0.1:0")
                .unwrap();
            let talk = drive(&server, |address| {
                let mut client = real::Client::connect(address);
                client.send_text("hello");
                assert_eq!(client.next_message(), Message::Text("hello 42".into()));
            });
            runtime.block_on(server.serve()).unwrap();
            talk.join().unwrap_or_else(|_| panic!("on {flavour} with {workers} workers"));
        }
    }
}

#[test]
fn run_on_the_only_thread_of_a_runtime_is_refused_with_the_way_out() {
    let server = Server::builder::<()>().bind("127.0.0.1:0").unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { server.run() }).unwrap_err();
    assert!(matches!(error, RunError::BlocksRuntime), "{error:?}");
    assert!(error.to_string().contains("serve().await"), "{error}");
    // It has not been used up by that.
    let talk = drive(&server, |address| {
        assert_eq!(real::request(address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 404);
    });
    server.run().unwrap();
    talk.join().unwrap();
    assert!(matches!(server.run(), Err(RunError::StartedBefore)));
}

#[test]
fn dropping_the_future_stops_the_server() {
    let (_, runtime) = runtimes().into_iter().next().unwrap();
    let server = Server::builder::<()>().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) });
    let server = server.bind("127.0.0.1:0").unwrap();
    let handle = server.clone();
    let address = ([127, 0, 0, 1], server.port().unwrap()).into();
    let client = std::thread::spawn(move || {
        let mut client = real::Client::connect(address);
        client.wait_ended().and_then(|close| close.code)
    });
    runtime.block_on(async {
        let serving = server.serve();
        let connected = async {
            while handle.pending_web_sockets() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            end = serving => panic!("it ended by itself: {end:?}"),
            () = connected => {}
        }
    });
    assert_eq!(client.join().unwrap(), Some(1001));
}

#[test]
fn an_axum_router_answers_what_is_not_upgraded() {
    let pages = axum::Router::new()
        .route("/", axum::routing::get(|| async { "a page" }))
        .route("/double", axum::routing::post(|body: String| async move { body.repeat(2) }));
    let server = Server::builder()
        .service(pages)
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .message(|ws, message| {
            ws.send(message);
        })
        .bind("127.0.0.1:0")
        .unwrap();
    let talk = drive(&server, |address| {
        let get = real::request(address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!((get.status, get.text()), (200, "a page"));
        let post = b"POST /double HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(real::request(address, post).text(), "abcabc");
        let missing = real::request(address, b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(missing.status, 404);
        let mut client = real::Client::connect(address);
        client.send_text("echo");
        assert_eq!(client.next_message(), Message::Text("echo".into()));
    });
    runtimes()[0].1.block_on(server.serve()).unwrap();
    talk.join().unwrap();
}
