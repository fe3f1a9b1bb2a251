//! HTTP beside the WebSocket: keep-alive, pipelining, HEAD, limits, errors, and what follows a refused upgrade.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::fmt::Write as _;
use std::net::SocketAddr;

use tidewire::server::{FetchError, Running};
use tidewire::{Builder, IntoReply, Response, Server, Upgrade};
use tidewire_kit::client::Wire;
use tidewire_kit::http::Response as Answer;
use tidewire_kit::real::{Connection, request, wait_until};

/// A server for one test; stopped when the test is over.
struct Site(Option<Running>);

impl Site {
    fn new<T: 'static>(builder: Builder<T>) -> Self {
        Self(Some(builder.bind("127.0.0.1:0").unwrap().start().unwrap()))
    }

    fn server(&self) -> &Server {
        self.0.as_ref().unwrap()
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.server().port().unwrap()).into()
    }

    fn ask(&self, bytes: &[u8]) -> Answer {
        request(self.address(), bytes)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let running = self.0.take().unwrap();
        running.stop();
        running.join().unwrap();
    }
}

/// Answers with the path that was asked for.
fn paths() -> Builder<()> {
    Server::builder().fetch(|req, _| async move { req.uri().path().to_owned() })
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

#[test]
fn a_connection_is_kept_alive_and_pipelined_requests_are_answered_in_order() {
    let site = Site::new(paths().workers(1));
    let mut connection = Connection::tcp(site.address()).unwrap();
    let pipelined: Vec<u8> = (0..20).flat_map(|i| get(&format!("/{i}"))).collect();
    connection.send(&pipelined);
    for i in 0..20 {
        assert_eq!(connection.read_response().text(), format!("/{i}"));
    }
    connection.send(&get("/again"));
    assert_eq!(connection.read_response().text(), "/again");
    assert_eq!(site.server().metrics().accepted, 1);
}

#[test]
fn a_response_has_a_date_and_a_length_and_head_has_no_body() {
    let site = Site::new(paths());
    let mut connection = Connection::tcp(site.address()).unwrap();
    connection.send(&get("/four"));
    let response = connection.read_response();
    assert!(response.header("date").is_some_and(|date| date.ends_with(" GMT")), "{response:?}");
    assert_eq!(response.header("content-length"), Some("5"));
    // A body after HEAD would be taken for the next response.
    connection.send(b"HEAD /four HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let rest = String::from_utf8(connection.read_to_end()).unwrap();
    let heads: Vec<_> = rest.split("\r\n\r\n").collect();
    assert!(heads[0].contains("content-length: 5") && heads[1].starts_with("HTTP/1.1 200"), "{rest}");
    assert!(rest.ends_with("\r\n\r\n/next"), "{rest}");
}

#[test]
fn connection_close_is_honoured_and_http_1_0_is_not_kept_alive() {
    let site = Site::new(paths());
    for head in ["GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /x HTTP/1.0\r\n\r\n"] {
        let mut connection = Connection::tcp(site.address()).unwrap();
        connection.send(head.as_bytes());
        let all = String::from_utf8(connection.read_to_end()).unwrap();
        assert!(all.ends_with("/x"), "{all}");
    }
}

#[test]
fn heads_are_bounded_in_size_and_number() {
    let site = Site::new(paths());
    let mut many = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    (0..2000).for_each(|i| write!(many, "x-{i}: 1\r\n").unwrap());
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n", "y".repeat(64 * 1024));
    for head in [many, large] {
        let answer = site.ask(format!("{head}\r\n").as_bytes());
        assert_eq!(answer.status, 431);
        assert_eq!(site.ask(&get("/lives")).text(), "/lives");
    }
    assert_eq!(site.server().metrics().requests, 2, "neither reached fetch");
}

#[test]
fn a_body_over_the_limit_is_refused_before_fetch_or_while_it_is_read() {
    let builder = Server::builder::<()>()
        .options(|options| options.max_request_body = 10)
        .fetch(|req, _| async move {
            let body = req.into_body().bytes().await.map_err(FetchError::from)?;
            Ok::<_, FetchError>(body.len().to_string())
        })
        .fetch_error(|error| Response::new(error.to_string().into()));
    let site = Site::new(builder);
    let post = |framing: &str, body: &str| site.ask(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}").as_bytes());
    assert_eq!(post("Content-Length: 10", "0123456789").text(), "10");
    assert_eq!(post("Content-Length: 11", "0123456789x").status, 413);
    assert_eq!(post("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n").text(), "10");
    let over = post("Transfer-Encoding: chunked", "b\r\n0123456789x\r\n0\r\n\r\n");
    assert!(over.text().contains("larger than max_request_body"), "{over:?}");
}

#[test]
fn a_failed_fetch_tells_the_peer_nothing_and_the_handler_everything() {
    let failing = || {
        Server::builder::<()>().fetch(|req, _| async move {
            match req.uri().path() {
                "/error" => Err(FetchError::from("the database is at 10.1.2.3")),
                "/panic" => panic!("the database is at 10.1.2.3"),
                _ => Ok("fine"),
            }
        })
    };
    let site = Site::new(failing());
    for path in ["/error", "/panic"] {
        let answer = site.ask(&get(path));
        assert_eq!(answer.status, 500);
        assert!(!answer.text().contains("10.1.2.3"), "{answer:?}");
    }
    assert_eq!(site.ask(&get("/")).text(), "fine");

    let site = Site::new(failing().fetch_error(|error| Response::new(error.to_string().into())));
    assert!(site.ask(&get("/panic")).text().contains("10.1.2.3"));
}

#[test]
fn several_addresses_are_one_server_and_a_unix_socket_is_spread_over_the_workers() {
    let path = std::env::temp_dir().join(format!("tidewire-{}.sock", std::process::id()));
    let builder = paths().workers(4).listen(path.as_path()).unwrap();
    let site = Site::new(builder);
    assert_eq!(site.server().endpoints().len(), 2);
    for i in 0..8 {
        let mut connection = Connection::unix(&path).unwrap();
        connection.send(&get(&format!("/unix/{i}")));
        assert_eq!(connection.read_response().text(), format!("/unix/{i}"));
        assert_eq!(site.ask(&get("/tcp")).text(), "/tcp");
    }
    assert_eq!(site.server().metrics().handed_out, 8);
    drop(site);
    assert!(!path.exists(), "the file goes with its listener");
}

#[test]
fn pending_requests_are_those_that_fetch_is_not_done_with() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(Some(gate));
    let site = Site::new(Server::builder::<()>().fetch(move |_, _| {
        let gate = gate.lock().unwrap().take();
        let (wake, woken) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            gate.map(|gate| gate.recv());
            wake.send(())
        });
        async move {
            woken.await.unwrap();
            "done"
        }
    }));
    let mut connection = Connection::tcp(site.address()).unwrap();
    connection.send(&get("/"));
    wait_until("the request", || site.server().pending_requests() == 1);
    open.send(()).unwrap();
    assert_eq!(connection.read_response().text(), "done");
    wait_until("its end", || site.server().pending_requests() == 0);
}

#[test]
fn after_a_refused_upgrade_nothing_is_read_as_a_request() {
    let site = Site::new(Server::builder::<()>().fetch(|req, server| async move {
        if req.uri().path() == "/no" {
            return (http::StatusCode::UNAUTHORIZED, "not you").into_reply();
        }
        server.upgrade(&req, Upgrade::new(())).into_reply()
    }));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        ("/no", format!("{key}Sec-WebSocket-Version: 13\r\n"), 401),
        ("/", format!("{key}Sec-WebSocket-Version: 8\r\n"), 426),
        ("/", "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n".to_owned(), 400),
    ];
    for (path, headers, status) in cases {
        let mut connection = Connection::tcp(site.address()).unwrap();
        let upgrade = format!("GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{headers}\r\n");
        connection.send(upgrade.as_bytes());
        connection.send(&get("/smuggled"));
        let all = String::from_utf8(connection.read_to_end()).unwrap();
        assert!(all.starts_with(&format!("HTTP/1.1 {status} ")), "{all}");
        assert!(all.to_lowercase().contains("connection: close"), "{all}");
        assert_eq!(all.matches("HTTP/1.1").count(), 1, "the second request was answered: {all}");
        assert_eq!(all.matches("sec-websocket-version: 13").count(), usize::from(status == 426), "{all}");
    }
    assert_eq!(site.server().metrics().requests, 3);
}
