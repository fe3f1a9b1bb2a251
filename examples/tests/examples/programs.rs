//! One server, one client: what each small program does.

use std::fmt::Write;

use tidewire_kit::client::{Message, Upgrade};
use tidewire_kit::real::{self, Client};

use crate::process::{Example, Program};

fn text(text: impl Into<String>) -> Message {
    Message::Text(text.into())
}

/// The response to a GET.
fn page(example: &Example, target: &str) -> tidewire_kit::http::Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    real::request(example.address, request.as_bytes())
}

#[test]
fn basic_echoes_and_refuses_what_is_no_handshake() {
    let example = Example::start("basic");
    let mut client = Client::connect(example.address);
    client.send_text("hello");
    client.send_binary(&[0, 255]);
    assert_eq!(client.next_messages(2), [text("hello"), Message::Binary(vec![0, 255])]);
    client.close(1000, "");
    assert_eq!(client.wait_ended().and_then(|close| close.code), Some(1000));

    let refused = page(&example, "/");
    assert_eq!((refused.status, refused.text()), (500, "Upgrade failed"));
}

#[test]
fn sending_sends_text_bytes_and_the_message() {
    let example = Example::start("sending");
    let mut client = Client::connect(example.address);
    let answers = |last| {
        let bytes = [b"shared bytes".to_vec(), vec![1, 2, 3]].map(Message::Binary);
        let [shared, array] = bytes;
        [text("Hello world"), text("2 bytes came"), shared, array, last]
    };
    client.send_text("hi");
    assert_eq!(client.next_messages(5), answers(text("hi")));
    client.send_binary(&[7, 8]);
    assert_eq!(client.next_messages(5), answers(Message::Binary(vec![7, 8])));
}

#[test]
fn headers_sets_a_cookie_that_nobody_has_twice() {
    let example = Example::start("headers");
    let session = || {
        let client = Client::connect(example.address);
        let cookie = client.response().unwrap().header("set-cookie").unwrap().to_owned();
        let id = cookie.strip_prefix("SessionId=").unwrap().split(';').next().unwrap().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{cookie}");
        id
    };
    assert_ne!(session(), session());
    let refused = page(&example, "/");
    assert_eq!((refused.status, refused.header("set-cookie")), (400, None));
}

#[test]
fn contextual_data_comes_from_the_cookie_and_the_query() {
    let example = Example::start("contextual_data");
    let upgrade = Upgrade::to("/?x=1&channelId=a%20b").header("Cookie", "Theme=dark; X-Token=token-of-Ada");
    let mut client = Client::connect_with(example.address, &upgrade);
    for number in 1..=2 {
        client.send_text("hello");
        assert_eq!(client.next_message(), text(format!("saved as number {number}")));
        let line = example.line();
        assert!(line.starts_with("Ada in a b: hello ("), "{line}");
    }

    let mut stranger = Client::connect_with(example.address, &Upgrade::to("/?channelId=1"));
    stranger.send_text("hello");
    let close = stranger.wait_ended().unwrap();
    assert_eq!((close.code, close.reason.as_str()), (Some(1008), "who are you?"));
}

#[test]
fn backpressure_loses_nothing_and_waits_for_a_slow_client() {
    // More than the kernel's buffers of both ends hold.
    const COUNT: u64 = 3000;
    let example = Example::start("backpressure");
    let mut client = Client::connect(example.address);
    client.send_text(&COUNT.to_string());
    // Not a byte is read until the producer has noticed.
    assert!(example.line().starts_with("behind: message "));
    let mut expected = String::new();
    for number in 0..COUNT {
        expected.clear();
        write!(expected, "{number:016384}").unwrap();
        assert!(client.next_message() == text(expected.as_str()), "message {number}");
    }
    assert!(example.line().starts_with("drained: on from message "));
    client.send_text("1");
    assert_eq!(client.next_message(), text(format!("{COUNT:016384}")));
}

#[test]
fn timeouts_and_limits_refuses_what_is_larger_than_1_mib() {
    const LIMIT: usize = 1024 * 1024;
    let example = Example::start("timeouts_and_limits");
    let mut client = Client::connect(example.address);
    client.send_binary(&vec![0; LIMIT]);
    assert_eq!(client.next_message(), text("1048576 bytes came"));
    client.send_binary(&vec![0; LIMIT + 1]);
    assert_eq!(client.wait_ended().and_then(|close| close.code), Some(1009));
    assert!(example.line().starts_with("closed: 1006 "));
}

#[test]
fn timeouts_and_limits_ends_who_is_silent() {
    let example = Example::start_with("timeouts_and_limits", &["1"]);
    let mut silent = Client::connect(example.address);
    silent.answer_nothing();
    silent.wait_ended();
    assert!(example.line().starts_with("closed: 1006"));
}

#[test]
fn configuration_publishes_to_the_others_up_to_16_mib() {
    let example = Example::start("configuration");
    let (mut sender, mut other) = (Client::connect(example.address), Client::connect(example.address));
    sender.send_text("to the others");
    assert_eq!(other.next_message(), text("to the others"));
    other.send_text("to you");
    // Its own did not come before.
    assert_eq!(sender.next_message(), text("to you"));
    sender.send_binary(&vec![0; 16 * 1024 * 1024 + 1]);
    assert_eq!(sender.wait_ended().and_then(|close| close.code), Some(1009));
}

#[test]
fn tokio_axum_has_pages_sockets_and_timers() {
    let example = Example::start("tokio_axum");
    let page = page(&example, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("new WebSocket"));
    let mut client = Client::connect_with(example.address, &Upgrade::to("/chat"));
    client.send_text("hello");
    assert_eq!(client.next_messages(3), [1, 2, 3].map(|tenth| text(format!("hello, {tenth} tenths of a second later"))));
}

#[test]
fn client_talks_to_basic() {
    let server = Example::start("basic");
    let client = Program::start("client", &[&format!("ws://{}/", server.address)]);
    assert_eq!(client.finish(), ["open", "message: Hello world", "closed: 1000 that is all"]);

    // Nobody listens at port 1.
    let lines = Program::start("client", &["ws://127.0.0.1:1/"]).finish();
    assert!(lines.len() == 2 && lines[0].starts_with("error: cannot connect") && lines[1] == "closed: 1006 ", "{lines:?}");
}

#[test]
fn client_async_sends_what_is_typed_and_prints_what_comes() {
    let server = Example::start("basic");
    let mut client = Program::start("client_async", &[&format!("ws://{}/", server.address)]);
    client.input("one\ntwo\n");
    assert_eq!(client.finish(), ["open", "message: one", "message: two", "closed"]);
}

#[test]
fn client_reconnecting_comes_back_and_gives_up_when_told() {
    let server = Example::start("basic");
    let client = Program::start("client_reconnecting", &[&format!("ws://{}/", server.address), "3"]);
    assert_eq!([client.line(), client.line(), client.line()], ["attempt 1", "open", "message: Hello again"]);
    drop(server);
    let rest = client.finish();
    assert!(rest[0].starts_with("down: ") && rest[0].contains("again in "), "{rest:?}");
    assert_eq!((&*rest[1], &*rest[3]), ("attempt 2", "attempt 3"), "{rest:?}");
    assert!(rest[4].starts_with("given up: cannot connect"), "{rest:?}");
}
