//! Programs of others on real sockets: OpenSSL's client, curl, and Python's websockets.

use std::process::{Command, Output};

use tidewire::server::Running;
use tidewire::tls::{Certificate, Tls};
use tidewire::{IntoReply, Server, Upgrade};
use tidewire_kit::Folder;
use tidewire_kit::client::{self, Client};
use tidewire_kit::programs::{Program, is_there, python_with_websockets};
use tidewire_kit::real::{Connection, wait_until};
use tidewire_kit::tls::{self, Terms};

use super::{AUTHORITY, LOCALHOST, certificate, localhost};

/// A server on a real socket, stopped when the test is over. It echoes, and answers requests that ask for no upgrade.
struct Site(Option<Running>);

impl Site {
    fn new(tls: Tls) -> Self {
        let builder = Server::builder().tls(tls).unwrap();
        let builder = builder
            .fetch(|req, server| async move {
                if req.headers().contains_key("upgrade") {
                    server.upgrade(&req, Upgrade::new(())).into_reply()
                } else {
                    format!("hello {}\n", req.uri().path()).into_reply()
                }
            })
            .message(|ws, message| {
                ws.send(message);
            });
        Self(Some(builder.bind("127.0.0.1:0").unwrap().start().unwrap()))
    }

    fn server(&self) -> &Server {
        self.0.as_ref().unwrap()
    }

    fn port(&self) -> u16 {
        self.server().port().unwrap()
    }

    /// A client of our own that is open.
    fn client(&self) -> Client<tls::Tls<Connection>> {
        let connection = Connection::tcp(([127, 0, 0, 1], self.port()).into()).unwrap();
        let wire = tls::Tls::new(connection, &Terms::trust(&AUTHORITY), "localhost");
        let mut client = Client::open(wire, &client::Upgrade::to("/"));
        wait_until("the upgrade", || {
            client.step();
            client.is_open()
        });
        client
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let running = self.0.take().unwrap();
        running.stop();
        running.join().unwrap();
    }
}

fn s_client(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.arg("s_client").arg("-connect").arg(format!("127.0.0.1:{port}")).args(arguments);
    command
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn openssl_makes_both_handshakes_and_updates_keys() {
    if !is_there("openssl", &["version"]) {
        return;
    }
    let site = Site::new(localhost());
    let folder = Folder::new();
    let ca = folder.write("ca.pem", AUTHORITY.cert());
    let ca = ca.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let verified = ["-CAfile", ca, "-servername", "localhost", "-verify_return_error", "-alpn", "http/1.1", version];
        let mut openssl = Program::start(&mut s_client(site.port(), &verified));
        openssl.line_with("ALPN protocol: http/1.1");
        openssl.line_with("Verify return code: 0 (ok)");
        if version == "-tls1_3" {
            // On a line of its own this asks for an update of keys in both directions.
            openssl.write(b"K\n");
            openssl.line_with("KEYUPDATE");
        }
        openssl.write(UPGRADE);
        openssl.line_with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        openssl.write(b"\x81\x86\x00\x00\x00\x00hello\n");
        openssl.line_with("hello");
    }
}

#[test]
fn openssl_resumes_sessions_of_both_versions() {
    if !is_there("openssl", &["version"]) {
        return;
    }
    let site = Site::new(localhost());
    let folder = Folder::new();
    for (version, ask) in [("-tls1_2", &b""[..]), ("-tls1_3", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")] {
        let session = folder.join(version);
        let session = session.to_str().unwrap();
        let mut openssl = Program::start(&mut s_client(site.port(), &[version, "-sess_out", session]));
        openssl.line_with("New, TLSv1");
        // Under TLS 1.3 the ticket comes with the first bytes.
        openssl.write(ask);
        if !ask.is_empty() {
            openssl.line_with("hello /");
        }
        openssl.write(b"Q\n");
        assert!(openssl.wait().success());
        let openssl = Program::start(&mut s_client(site.port(), &[version, "-sess_in", session]));
        openssl.line_with("Reused, TLSv1");
    }
}

#[test]
fn openssl_encrypts_keys_as_they_are_read() {
    if !is_there("openssl", &["version"]) {
        return;
    }
    let folder = Folder::new();
    let key = folder.join("plain.key");
    let mut command = Command::new("openssl");
    command.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]);
    assert!(command.arg(&key).status().unwrap().success());
    let certified = AUTHORITY.certify_pem(&["localhost"], &std::fs::read_to_string(&key).unwrap());
    let cert = folder.write("cert.pem", &certified.cert);
    for (format, cipher) in [("PEM", "aes-256-cbc"), ("DER", "aes-128-cbc")] {
        let out = folder.join(format);
        let mut command = Command::new("openssl");
        command.args(["pkcs8", "-topk8", "-v2", cipher, "-passout", "pass:secret", "-outform", format]);
        assert!(command.arg("-in").arg(&key).arg("-out").arg(&out).status().unwrap().success());
        let site = Site::new(Tls::new(Certificate::files(&cert, &out).passphrase("secret")));
        assert_eq!(site.client().wire().certificate(), Some(&*certified.cert_der()));
    }
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl").args(["--silent", "--show-error", "--max-time", "20"]).args(arguments).output().unwrap()
}

#[test]
fn curl_verifies_the_name_that_it_asks_for() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    let folder = Folder::new();
    let ca = folder.write("ca.pem", AUTHORITY.cert());
    let ca = ca.to_str().unwrap();
    let other = AUTHORITY.certify(&["b.example"]);
    let site = Site::new(localhost().certificate(certificate(&other)));
    let port = site.port();
    for name in ["localhost", "b.example"] {
        let address = format!("{name}:{port}:127.0.0.1");
        let output = curl(&["--cacert", ca, "--resolve", &address, &format!("https://{name}:{port}/there")]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello /there\n", "{output:?}");
    }
    let address = format!("c.example:{port}:127.0.0.1");
    let output = curl(&["--cacert", ca, "--resolve", &address, &format!("https://c.example:{port}/")]);
    assert!(!output.status.success(), "nobody has that name");
    // Who forgets the s is told.
    let output = curl(&[&format!("http://127.0.0.1:{port}/")]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("speaks TLS"), "{output:?}");
}

#[test]
fn sockets_outlive_a_change_of_certificates() {
    let site = Site::new(localhost());
    let mut old = site.client();
    let next = AUTHORITY.certify(&["localhost"]);
    site.server().reload_tls(&Tls::new(certificate(&next))).unwrap();
    let mut new = site.client();
    for (client, certified) in [(&mut old, &*LOCALHOST), (&mut new, &next)] {
        assert_eq!(client.wire().certificate(), Some(&*certified.cert_der()));
        client.send_text("hello");
        wait_until("the echo", || {
            client.step();
            !client.messages().is_empty()
        });
    }
}

const SCRIPT: &str = r#"
import asyncio, ssl, sys, websockets

async def main(port, ca):
    context = ssl.create_default_context(cafile=ca)
    async with websockets.connect(f"wss://localhost:{port}/", ssl=context, host="127.0.0.1", compression=None, max_size=None) as socket:
        for message in ["hello", "", "é" * 1000, b"\x00" * 100_000, b"x" * 1_000_000]:
            await socket.send(message)
            assert await socket.recv() == message
        pong = await socket.ping()
        await pong
    assert socket.close_code == 1000, socket.close_code
    print("all is well")

asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2]), 20))
"#;

#[test]
fn websockets_of_python_echo_through_tls() {
    let Some(python) = python_with_websockets() else { return };
    let site = Site::new(localhost());
    let folder = Folder::new();
    let (ca, script) = (folder.write("ca.pem", AUTHORITY.cert()), folder.write("client.py", SCRIPT));
    let output = Command::new(python).arg(script).arg(site.port().to_string()).arg(ca).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all is well\n");
}
