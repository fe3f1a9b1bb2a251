//! Python's `websockets` against our server on real sockets: an implementation of permessage-deflate by other people over
//! another zlib.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::path::Path;
use std::process::Command;

use tidewire::{Compress, Compressor, Deflate};
use tidewire_contract::upgrading;
use tidewire_kit::programs::python_with_websockets;

/// Talks to an echo that compresses, with every kind of offer, and prints what was agreed on.
const CLIENT: &str = r#"
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

OFFERS = [
    None,
    Deflate(),
    Deflate(server_max_window_bits=9),
    Deflate(client_max_window_bits=9),
    Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
    Deflate(server_max_window_bits=12, client_max_window_bits=10, compress_settings={"memLevel": 1}),
]

async def main(url):
    for offer in OFFERS:
        async with connect(url, extensions=[offer] if offer else None, compression=None, max_size=None) as ws:
            print(ws.response.headers.get("Sec-WebSocket-Extensions"))
            for size in [0, 1, 63, 64, 65, 200, 1000, 5000, 70_000, 1_000_000]:
                text = (("größer %d " % size) * (size // 9 + 1))[:size]
                data = bytes((i * 7919 >> 3) & 255 for i in range(size))
                for message in [text, data]:
                    await ws.send(message)
                    assert await ws.recv() == message, size
                await ws.send([text[: size // 2], text[size // 2 :]])
                assert await ws.recv() == text, size
            for number in range(200):
                text = '{"number": %d, "same": "as ever"}' % number
                await ws.send(text)
                await ws.send(text)
                assert await ws.recv() == text and await ws.recv() == text

asyncio.run(main(sys.argv[1]))
"#;

fn agreed_with(python: &Path, deflate: Deflate) -> Vec<String> {
    let server = upgrading()
        .message(|ws, message| {
            ws.send_with(message, Compress::Yes);
        })
        .per_message_deflate(deflate)
        .bind("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap();
    let url = server.url().replace("http:", "ws:");
    let output = Command::new(python).args(["-c", CLIENT, &url]).output().unwrap();
    server.stop();
    server.join().unwrap();
    assert!(output.status.success(), "{deflate:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.replacen("permessage-deflate", "", 1)).collect()
}

#[test]
fn the_python_package_and_this_server_understand_each_other() {
    let Some(python) = python_with_websockets() else { return };
    let agreed_with = |deflate| agreed_with(&python, deflate);
    let alone = "; server_no_context_takeover; client_no_context_takeover";
    let ninth = format!("{alone}; server_max_window_bits=9");
    let client_ninth = format!("{alone}; client_max_window_bits=9");
    let twelfth = format!("{alone}; server_max_window_bits=12; client_max_window_bits=10");
    assert_eq!(agreed_with(Deflate::SHARED), ["None", alone, &ninth, &client_ninth, alone, &twelfth]);

    let (client_ninth, twelfth) = ("; client_max_window_bits=9", "; server_max_window_bits=12; client_max_window_bits=10");
    assert_eq!(agreed_with(Deflate::DEDICATED), ["None", "", "; server_max_window_bits=9", client_ninth, alone, twelfth]);

    let both = "; server_max_window_bits=10; client_max_window_bits=10";
    let ninth = "; server_max_window_bits=9; client_max_window_bits=10";
    let alone = format!("{alone}{both}");
    let client_ninth = "; server_max_window_bits=10; client_max_window_bits=9";
    assert_eq!(agreed_with(Compressor::KB8.into()), ["None", both, ninth, client_ninth, &alone, both]);
}
