//! The async client: a stream and a sink on real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tidewire::client::{ClientError, ConnectError, Dial, WebSocket, WebSocketError};
use tidewire::server::Running;
use tidewire::{Compressor, Message, Options, Server, Upgrade};
use tidewire_kit::client::accept_for;
use tidewire_kit::real::PATIENCE;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a test in a runtime, and not for ever.
fn run<T>(test: impl Future<Output = T>) -> T {
    runtime().block_on(async { timeout(PATIENCE, test).await.expect("it takes too long") })
}

fn echo() -> (Running, String) {
    let server = Server::builder()
        .per_message_deflate(true)
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .message(|ws, message| match &*message.text() {
            "close me" => ws.close(4001, "as you wish").unwrap(),
            "cut me off" => ws.terminate(),
            _ => {
                ws.send_with(message, tidewire::Compress::Yes);
            }
        })
        .options(|options| options.backpressure_limit = usize::MAX)
        .bind("127.0.0.1:0")
        .unwrap();
    let url = format!("ws://127.0.0.1:{}/", server.port().unwrap());
    (server.start().unwrap(), url)
}

/// A server of raw bytes for one connection; what it does after the handshake is the caller's.
fn raw(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = accept_for(key);
        let answer =
            format!("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        serve(stream);
    });
    (url, thread)
}

#[test]
fn messages_of_all_sizes_come_back_compressed_or_not_and_the_stream_ends_with_the_close() {
    let (server, url) = echo();
    run(async {
        for deflate in [None, Some(Compressor::Shared), Some(Compressor::Dedicated)] {
            let mut dial = Dial::to(&url).unwrap();
            if let Some(compressor) = deflate {
                dial = dial.per_message_deflate(compressor);
            }
            let mut ws = WebSocket::open(&dial, &Options::default()).await.unwrap();
            assert_eq!(ws.answer().extensions().is_empty(), deflate.is_none());
            for size in [0, 1, 125, 126, 65_535, 65_536, 3_000_000_usize] {
                let text: String = (0..size).map(|i: usize| char::from(b'a' + (i * i % 23) as u8)).collect();
                ws.send(&text).await.unwrap();
                assert_eq!(ws.next().await.unwrap().unwrap(), Message::from(&*text));
                ws.send(text.as_bytes()).await.unwrap();
                assert_eq!(ws.next().await.unwrap().unwrap(), Message::from(text.as_bytes()));
            }
            ws.send("close me").await.unwrap();
            assert!(ws.next().await.is_none());
            let reason = ws.close_reason().unwrap();
            assert_eq!((reason.code, &*reason.reason), (4001, "as you wish"));
            assert!(matches!(ws.send("late").await, Err(WebSocketError::Closed)));
            assert!(ws.next().await.is_none(), "the end stays the end");
        }
    });
    server.stop_within(Duration::ZERO);
}

#[test]
fn the_limits_of_the_options_are_the_connections() {
    let (server, url) = echo();
    run(async {
        let dial = Dial::to(&url).unwrap().per_message_deflate(true);
        let blank = "x".repeat(1 << 20);
        for options in [
            Options { max_payload_length: blank.len() - 1, ..Options::default() },
            Options { max_inflate_ratio: 10, ..Options::default() },
        ] {
            let mut ws = WebSocket::open(&dial, &options).await.unwrap();
            ws.send(&blank).await.unwrap();
            let error = ws.next().await.unwrap().unwrap_err();
            assert!(matches!(&error, WebSocketError::Peer(error) if error.code() == 1009), "{error}");
        }
        let options = Options { max_payload_length: blank.len(), ..Options::default() };
        let mut ws = WebSocket::open(&dial, &options).await.unwrap();
        ws.send(&blank).await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap().len(), blank.len());
    });
    server.stop_within(Duration::ZERO);
}

#[test]
fn halves_of_a_split_work_in_two_tasks_with_back_pressure_in_both_directions() {
    let (server, url) = echo();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut sink, mut stream) = WebSocket::connect(&url).await.unwrap().split();
        // More than all the buffers on the way hold: without the other half neither would come to an end.
        let payload = vec![7; 256 * 1024];
        let sending = tokio::spawn(async move {
            for _ in 0..200 {
                sink.send(Message::Binary(payload.clone().into())).await.unwrap();
            }
            sink.close().await.unwrap();
        });
        let receiving = tokio::spawn(async move {
            let mut count = 0;
            while let Some(message) = stream.next().await {
                assert_eq!(message.unwrap().len(), 256 * 1024);
                count += 1;
            }
            count
        });
        timeout(PATIENCE * 3, sending).await.expect("sending hangs").unwrap();
        assert_eq!(timeout(PATIENCE * 3, receiving).await.expect("receiving hangs").unwrap(), 200);
    });
    server.stop_within(Duration::ZERO);
}

#[test]
fn a_sender_that_nobody_reads_is_told_to_wait_and_goes_on_when_somebody_does() {
    let (go, gone) = mpsc::channel();
    let (url, server) = raw(move |mut stream| {
        gone.recv().unwrap();
        let mut all = vec![0; 1 << 20];
        while stream.read(&mut all).unwrap_or(0) > 0 {}
    });
    run(async {
        let mut ws = WebSocket::connect(&url).await.unwrap();
        let payload = vec![1; 1 << 20];
        let mut sent = 0;
        // The kernel takes some; then the sink is not ready, however long one waits.
        while timeout(Duration::from_millis(200), ws.feed(&payload)).await.is_ok() {
            sent += 1;
            assert!(sent < 100, "{sent} MiB were taken for a peer that reads nothing");
        }
        go.send(()).unwrap();
        ws.feed(&payload).await.unwrap();
        ws.flush().await.unwrap();
        drop(ws);
    });
    server.join().unwrap();
}

#[test]
fn a_receiver_that_does_not_receive_holds_the_server_back() {
    let (url, server) = raw(|mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let message = [&[0x82, 127][..], &(1_u64 << 20).to_be_bytes(), &vec![0; 1 << 20]].concat();
        let written = (0..200).take_while(|_| stream.write_all(&message).is_ok()).count();
        assert!(written < 100, "{written} MiB were taken from a client that receives nothing");
    });
    run(async {
        let ws = WebSocket::connect(&url).await.unwrap();
        // Not polled; the server's own patience ends this.
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap();
        drop(ws);
    });
}

#[test]
fn what_is_cancelled_loses_nothing() {
    let (server, url) = echo();
    run(async {
        let mut ws = WebSocket::connect(&url).await.unwrap();
        let (mut got, mut sent) = (Vec::new(), 0_u32);
        while got.len() < 300 {
            if sent < 300 {
                // Whether it is dropped at once or later, a message is taken whole or not at all.
                let before = sent;
                tokio::select! {
                    biased;
                    result = ws.send(format!("{before} {}", "x".repeat(10_000))) => { result.unwrap(); sent += 1; }
                    () = tokio::task::yield_now() => sent += 1,
                }
            }
            tokio::select! {
                biased;
                message = ws.next() => got.push(message.unwrap().unwrap().text().split(' ').next().unwrap().parse::<u32>().unwrap()),
                () = tokio::time::sleep(Duration::from_micros(50)) => {}
            }
        }
        assert_eq!(got, (0..300).collect::<Vec<_>>());
        ws.close(1000, "").await.unwrap();
    });
    server.stop_within(Duration::ZERO);
}

#[test]
fn what_comes_in_pieces_of_one_byte_is_whole_and_pings_between_fragments_are_answered() {
    let (url, server) = raw(|mut stream| {
        stream.set_nodelay(true).unwrap();
        for byte in b"\x01\x02he\x89\x04ping\x00\x01l\x80\x02lo\x88\x05\x03\xe8bye" {
            stream.write_all(&[*byte]).unwrap();
        }
        let mut all = Vec::new();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all[0], 0x8a, "a pong");
        let unmasked: Vec<u8> = all[6..10].iter().zip(all[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(unmasked, b"ping");
        assert_eq!(all[10], 0x88, "the answer to its Close, with its reason, and nothing more: {all:?}");
        assert_eq!(all.len(), 10 + 8 + "bye".len());
    });
    run(async {
        let mut ws = WebSocket::connect(&url).await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap().text(), "hello");
        assert!(ws.next().await.is_none());
        assert_eq!(ws.close_reason().unwrap().code, 1000);
    });
    server.join().unwrap();
}

#[test]
fn a_server_that_breaks_the_protocol_or_is_lost_is_one_error_and_then_the_end() {
    type Check = fn(WebSocketError) -> bool;
    let cases: [(&[u8], &[u8], Check); 5] = [
        (b"\x83\x00", b"\x03\xea", |error| matches!(error, WebSocketError::Peer(_))),
        (b"\x81\x01\xff", b"\x03\xef", |error| matches!(error, WebSocketError::Peer(_))),
        (b"\x81\x81\0\0\0\0a", b"\x03\xea", |error| matches!(error, WebSocketError::Peer(_))),
        (b"\xc1\x01a", b"\x03\xea", |error| matches!(error, WebSocketError::Peer(_))),
        (b"\x81\x05hal", b"", |error| matches!(error, WebSocketError::Ended)),
    ];
    for (frames, code, check) in cases {
        let (url, server) = raw(move |mut stream| {
            stream.write_all(&[b"\x81\x02ok", frames].concat()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            if !code.is_empty() {
                let told = [all[6] ^ all[2], all[7] ^ all[3]];
                assert_eq!((all[0], &told[..]), (0x88, code), "the server is told why");
            }
        });
        run(async {
            let mut ws = WebSocket::connect(&url).await.unwrap();
            assert_eq!(ws.next().await.unwrap().unwrap().text(), "ok");
            let error = ws.next().await.unwrap().unwrap_err();
            assert!(check(error), "{frames:?}");
            assert!(ws.next().await.is_none());
        });
        server.join().unwrap();
    }
}

/// From here on time is virtual: whenever all wait, the clock moves on to what they wait for, and nothing of the network counts.
fn pause() -> tokio::time::Instant {
    tokio::time::pause();
    tokio::time::Instant::now()
}

#[test]
fn c35_a_silent_server_is_pinged_and_given_up_and_one_that_does_not_answer_a_close_is_not_waited_for() {
    let (url, server) = raw(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all.iter().step_by(6).copied().collect::<Vec<_>>(), [0x89], "one ping: {all:?}");
    });
    runtime().block_on(async {
        let mut ws = WebSocket::connect(&url).await.unwrap();
        let start = pause();
        assert!(matches!(ws.next().await, Some(Err(WebSocketError::Idle))));
        assert_eq!(start.elapsed().as_secs(), 120);
        assert!(ws.next().await.is_none());
    });
    server.join().unwrap();
    let (url, server) = raw(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    runtime().block_on(async {
        let mut ws = WebSocket::connect(&url).await.unwrap();
        let start = pause();
        assert!(matches!(ws.close(1000, "").await, Err(WebSocketError::Unanswered)));
        assert_eq!(start.elapsed().as_secs(), 5);
    });
    server.join().unwrap();
}

#[test]
fn c30_codes_that_may_not_be_sent_are_refused_and_the_socket_stays_open() {
    let (server, url) = echo();
    run(async {
        let mut ws = WebSocket::connect(&url).await.unwrap();
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert!(matches!(ws.close(code, "").await, Err(WebSocketError::Usage(_))), "{code}");
        }
        assert!(matches!(ws.close(1000, &"x".repeat(124)).await, Err(WebSocketError::Usage(_))));
        assert!(matches!(ws.ping(&[0; 126]).await, Err(WebSocketError::Usage(_))));
        ws.ping(&[0; 125]).await.unwrap();
        ws.send("still here").await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap().text(), "still here");
        ws.close(3000, &"x".repeat(123)).await.unwrap();
        assert_eq!(ws.close_reason().unwrap().code, 3000);
        ws.close(1000, "").await.unwrap();
        // One that is cut off.
        let mut ws = WebSocket::connect(&url).await.unwrap();
        ws.send("cut me off").await.unwrap();
        assert!(matches!(ws.next().await, Some(Err(WebSocketError::Io(_) | WebSocketError::Ended))));
    });
    server.stop_within(Duration::ZERO);
}

#[test]
fn what_cannot_be_opened_says_why() {
    run(async {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let refused = WebSocket::connect(&format!("ws://127.0.0.1:{port}/")).await.unwrap_err();
        let ClientError::Connect(error) = refused else { panic!("{refused}") };
        assert_eq!(error.code(), "ECONNREFUSED");
        let unknown = WebSocket::connect("ws://no-such-name.invalid/").await.unwrap_err();
        assert!(matches!(unknown, ClientError::Connect(ConnectError::Resolve { .. })), "{unknown}");
        assert!(matches!(WebSocket::connect("ws://").await, Err(ClientError::Url(_))));
        // By name, and through a list whose first address refuses.
        let (server, url) = echo();
        let by_name = url.replace("127.0.0.1", "localhost");
        WebSocket::connect(&by_name).await.unwrap().close(1000, "").await.unwrap();
        let places = [format!("127.0.0.1:{port}"), url[5..url.len() - 1].to_owned()];
        let places = places.map(|place| tidewire::sys::Endpoint::Tcp(place.parse().unwrap()));
        let dial = Dial::to("ws://anything.example/").unwrap().at(places);
        WebSocket::open(&dial, &Options::default()).await.unwrap().close(1000, "").await.unwrap();
        server.stop_within(Duration::ZERO);
    });
    // Nobody answers the handshake.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    runtime().block_on(async {
        let start = pause();
        let late = WebSocket::connect(&url).await.unwrap_err();
        assert!(matches!(late, ClientError::Connect(ConnectError::TimedOut)), "{late}");
        assert_eq!(start.elapsed().as_secs(), 10);
    });
}
