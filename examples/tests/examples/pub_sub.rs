//! The group chat.

use tidewire_kit::client::{Message, Upgrade};
use tidewire_kit::real::{self, Client};

use crate::process::Example;

fn join(example: &Example, name: &str) -> Client {
    Client::connect_with(example.address, &Upgrade::to(&format!("/chat?username={name}")))
}

fn assert_next(client: &mut Client, text: &str) {
    assert_eq!(client.next_message(), Message::Text(text.to_owned()));
}

#[test]
fn everybody_hears_everything_and_the_terminal_too() {
    let mut example = Example::start("pub_sub");
    let mut ada = join(&example, "Ada");
    assert_next(&mut ada, "Ada has entered the chat");
    let mut alan = join(&example, "Alan%20T.");
    for client in [&mut ada, &mut alan] {
        assert_next(client, "Alan T. has entered the chat");
    }

    ada.send_text("hello");
    for client in [&mut ada, &mut alan] {
        assert_next(client, "Ada: hello");
    }
    assert_eq!(example.line(), r#"["the-group-chat"]"#);

    // The external event comes from another thread than the workers'.
    example.type_line("Hello world");
    for client in [&mut ada, &mut alan] {
        assert_next(client, "Hello world");
    }

    ada.close(1000, "");
    assert_next(&mut alan, "Ada has left the chat");
    ada.wait_ended();
    assert!(ada.messages().is_empty(), "{:?}", ada.messages());
}

#[test]
fn what_is_no_chat_gets_a_page_or_400() {
    let example = Example::start("pub_sub");
    for (target, status, text) in [("/", 200, "Hello world"), ("/chat", 400, "Upgrade error")] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let response = real::request(example.address, request.as_bytes());
        assert_eq!((response.status, response.text()), (status, text));
    }
}
