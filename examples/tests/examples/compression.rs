//! What is compressed, for whom, and how often.

use tidewire_kit::client::frame::{BINARY, RSV1, TEXT};
use tidewire_kit::client::{Message, Upgrade};
use tidewire_kit::real::Client;

use crate::process::Example;

/// A client that offers compression.
fn able(example: &Example) -> Client {
    Client::connect_with(example.address, &Upgrade::to("/").deflate(""))
}

/// Waits for messages, and gives the compressed sizes of those that came compressed.
fn sizes<const COUNT: usize>(client: &mut Client, message: &Message) -> [Option<usize>; COUNT] {
    assert_eq!(client.next_messages(COUNT), vec![message.clone(); COUNT]);
    let frames = client.take_frames();
    let sizes: Vec<_> = frames.iter().map(|frame| (frame.first & RSV1 != 0).then_some(frame.payload.len())).collect();
    sizes.try_into().unwrap()
}

#[test]
fn a_message_is_compressed_when_it_asks_for_it_and_a_publish_once_for_all() {
    let example = Example::start("compression");
    let (mut sender, mut able, mut unable) = (able(&example), able(&example), Client::connect(example.address));
    let text = "{\"tide\":\"in\"}".repeat(50);
    sender.send_compressed(TEXT, text.as_bytes());
    let [plain, compressed] = sizes(&mut sender, &Message::Text(text.clone()));
    assert!(plain.is_none() && compressed.is_some_and(|size| size < text.len() / 10), "{compressed:?}");

    let bytes = Message::Binary(text.clone().into_bytes());
    sender.send_compressed(BINARY, text.as_bytes());
    for client in [&mut sender, &mut able] {
        assert_eq!(sizes(client, &bytes), [compressed]);
    }
    assert_eq!(sizes(&mut unable, &bytes), [None]);

    // Under the threshold.
    sender.send_text("short");
    assert_eq!(sizes(&mut sender, &Message::Text("short".to_owned())), [None, None]);
    sender.close(1000, "");
    assert_eq!(example.line(), "3 compressed messages took 2 compressions");
}

#[test]
fn a_compressor_of_its_own_remembers() {
    for (compressor, remembers) in [("shared", false), ("32KB", true)] {
        let example = Example::start_with("compression", &[compressor]);
        let mut client = able(&example);
        let text: String = (0..300_u32).map(|at| char::from(b' ' + (at * at % 89) as u8)).collect();
        let mut compressed = || {
            client.send_text(&text);
            let [_, compressed] = sizes(&mut client, &Message::Text(text.clone()));
            compressed.unwrap()
        };
        let (first, second) = (compressed(), compressed());
        assert_eq!(second < first / 2, remembers, "{compressor}: {first} and {second} bytes");
    }
}
