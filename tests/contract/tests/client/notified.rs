//! The async client's end of TLS: behind its last word it says that it was the last.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use tidewire::client::{Dial, WebSocket, WebSocketError};
use tidewire::tls::ClientTls;
use tidewire::{Message, Options};
use tidewire_kit::client::{Arrival, Wire, accept_for};
use tidewire_kit::real::PATIENCE;
use tidewire_kit::tls::{Authority, TLS_1_2, TLS_1_3, Tls};
use tokio::time::timeout;

/// A socket that is waited for.
struct Blocking(TcpStream);

impl Wire for Blocking {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn receive(&mut self) -> Arrival {
        let mut bytes = vec![0; 4096];
        match self.0.read(&mut bytes) {
            Ok(0) => Arrival::End,
            Ok(length) => Arrival::Bytes(bytes[..length].to_vec()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the server says once it is open, how it ends, and what the client makes of it.
struct Case {
    says: &'static [u8],
    /// The client closes first.
    closes: bool,
    told: fn(Option<Result<Message<'static>, WebSocketError>>),
}

const CASES: [Case; 4] = [
    Case { says: b"\x88\x02\x03\xe8", closes: false, told: |next| assert!(next.is_none()) },
    Case { says: b"\x88\x02\x03\xe8", closes: true, told: |next| assert!(next.is_none()) },
    Case {
        says: b"\x83\x00",
        closes: false,
        told: |next| assert!(matches!(next, Some(Err(WebSocketError::Peer(_)))), "{next:?}"),
    },
    // Its own end, without a Close.
    Case { says: b"", closes: false, told: |next| assert!(matches!(next, Some(Err(WebSocketError::Ended))), "{next:?}") },
];

#[test]
fn whatever_ends_an_async_client_its_tls_ends_with_close_notify() {
    let authority = Authority::new();
    let certified = authority.certify(&["localhost"]);
    let connector = ClientTls::new().ca(authority.cert().into_bytes()).build().unwrap();
    for version in [TLS_1_2, TLS_1_3] {
        for Case { says, closes, told } in CASES {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let dial = Dial::to(&format!("wss://localhost:{}/", listener.local_addr().unwrap().port())).unwrap().tls(&connector);
            let certified = certified.clone();
            let server = thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut tls = Tls::accept(Blocking(stream), &certified, version);
                let mut got = Vec::new();
                let mut said = false;
                loop {
                    match tls.receive() {
                        Arrival::Bytes(bytes) => got.extend(bytes),
                        Arrival::Nothing => {}
                        Arrival::End => break,
                        Arrival::Reset => panic!("{:?}", tls.failed()),
                    }
                    if got.ends_with(b"\r\n\r\n") {
                        let head = String::from_utf8(std::mem::take(&mut got)).unwrap();
                        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                        let accept = accept_for(key);
                        tls.send(format!("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
                    } else if !got.is_empty() && !said {
                        // Its Close, or a message that says that it is there.
                        said = true;
                        tls.send(says);
                        if says.is_empty() {
                            tls.close_notify();
                        }
                    }
                    if tls.is_ended() {
                        // The client waits for the server to end the transport (RFC 6455, section 7.1.1).
                        let _ = tls.wire().0.shutdown(Shutdown::Write);
                    }
                }
                assert!(tls.is_ended(), "it ended without close_notify");
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let test = async {
                    let mut ws = WebSocket::open(&dial, &Options::default()).await.unwrap();
                    if closes {
                        ws.close(1000, "").await.unwrap();
                    } else {
                        ws.send("here").await.unwrap();
                    }
                    told(ws.next().await);
                    assert!(ws.next().await.is_none());
                };
                timeout(PATIENCE, test).await.expect("it takes too long");
            });
            server.join().unwrap();
        }
    }
}
