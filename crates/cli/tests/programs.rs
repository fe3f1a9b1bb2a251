//! Programs of others against `tidewire chat` and `tidewire echo` as they are used: compressed, through TLS.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::process::Command;

use tidewire_kit::Folder;
use tidewire_kit::programs::{Program, is_there, python_with_websockets};
use tidewire_kit::tls::Authority;

/// A server of the command with a certificate for `localhost`, and a folder with `ca.pem`, which vouches for it.
struct Site {
    _server: Program,
    port: String,
    folder: Folder,
}

impl Site {
    fn new(program: &str) -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        let certified = authority.certify(&["localhost"]);
        let (cert, key) = (folder.write("cert.pem", certified.cert), folder.write("key.pem", certified.key));
        folder.write("ca.pem", authority.cert());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
        command.args([program, "--compress", "--host", "127.0.0.1", "--port", "0", "--cert"]).arg(cert).arg("--key").arg(key);
        let server = Program::start(command.env_remove("RUST_LOG").env_remove("TIDEWIRE_PORT"));
        let line = server.line_with("is listening on https://127.0.0.1:");
        let port = line.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
        Self { _server: server, port, folder }
    }

    fn authority(&self) -> String {
        self.folder.join("ca.pem").to_str().unwrap().to_owned()
    }
}

#[test]
fn curl_gets_the_page_of_the_chat_and_is_told_what_an_echo_wants() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    for (program, status, body) in
        [("chat", "200", "<title>Tidewire chat</title>"), ("echo", "400", "the Upgrade header does not ask for websocket")]
    {
        let site = Site::new(program);
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
            "--cacert",
            &site.authority(),
        ]);
        curl.args(["--resolve", &format!("localhost:{}:127.0.0.1", site.port), &format!("https://localhost:{}/", site.port)]);
        let output = curl.output().unwrap();
        let page = String::from_utf8(output.stdout).unwrap();
        let (page, code) = page.rsplit_once('\n').unwrap();
        assert_eq!(code, status, "{program}: {page} {}", String::from_utf8_lossy(&output.stderr));
        assert!(page.contains(body), "{page}");
    }
}

/// A request to upgrade that offers compression.
fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    )
}

#[test]
fn openssl_sees_compression_agreed_on_and_a_compressed_message_understood() {
    if !is_there("openssl", &["version"]) {
        return;
    }
    for (program, path) in [("echo", "/"), ("chat", "/chat?name=Ada")] {
        let site = Site::new(program);
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &format!("127.0.0.1:{}", site.port), "-CAfile", &site.authority()]);
        let mut openssl = Program::start(command.args(["-servername", "localhost", "-verify_return_error"]));
        openssl.line_with("Verify return code: 0 (ok)");
        openssl.write(upgrade(path).as_bytes());
        let answer = openssl.line_with("permessage-deflate").to_lowercase();
        assert_eq!(
            answer,
            "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        );
        // RFC 7692, section 7.2.3.1, masked with zeros. It comes back as it was: so short a message is not worth compressing.
        openssl.write(b"\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00");
        openssl.write(b"\x81\x81\x00\x00\x00\x00\n");
        openssl.line_with("Hello");
    }
}

/// Talks to the echo and to the chat, with every message compressed in both directions, and says what was agreed on.
const SCRIPT: &str = r#"
import asyncio, ssl, sys
from websockets.asyncio.client import connect

async def main(program, port, ca):
    context = ssl.create_default_context(cafile=ca)
    def open(path):
        return connect(f"wss://localhost:{port}{path}", ssl=context, host="127.0.0.1", max_size=None)
    if program == "echo":
        async with open("/") as socket:
            print(socket.response.headers["Sec-WebSocket-Extensions"])
            for message in ["hello", "", "größer 🌊 " * 1000, b"\x00" * 100_000, '{"id": 1}' * 100_000]:
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())
    else:
        async with open("/chat?name=Ada") as ada:
            assert await ada.recv() == "Ada has entered the chat"
            async with open("/chat?name=Alan") as alan:
                print(alan.response.headers["Sec-WebSocket-Extensions"])
                for socket in [ada, alan]:
                    assert await socket.recv() == "Alan has entered the chat"
                for text in ["hello", "größer 🌊 " * 1000]:
                    await alan.send(text)
                    for socket in [ada, alan]:
                        assert await socket.recv() == "Alan: " + text
            assert await ada.recv() == "Alan has left the chat"

asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 20))
"#;

#[test]
fn websockets_of_python_echo_and_chat() {
    let Some(python) = python_with_websockets() else { return };
    for program in ["echo", "chat"] {
        let site = Site::new(program);
        let output = Command::new(&python).args(["-c", SCRIPT, program, &site.port, &site.authority()]).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let agreed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(agreed.trim_end(), "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    }
}
