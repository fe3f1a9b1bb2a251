//! The handshake and what comes right behind it, against our own server and against one that misbehaves.

use std::cell::RefCell;
use std::rc::Rc;

use tidewire::engine::SocketId;
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Client, Server, Upgrade};
use tidewire_kit::client::accept_for;
use tidewire_kit::sim::{Faults, Network};
use tidewire_kit::{Random, for_each_seed};

use super::{LIMIT, Told, anywhere, noting, turn};

#[test]
fn messages_go_both_ways_in_order_and_whole_whatever_the_network_does() {
    for_each_seed(300, |seed| {
        let network = Network::new(seed, Faults::rough());
        let (_server, mut workers) = Server::builder()
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
            .open(|ws| {
                // Glued to the 101, or not, as the network likes.
                ws.send("welcome");
            })
            .message(|ws, message| {
                ws.send(message);
            })
            .embed(vec![Box::new(network.io())]);
        let endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();

        let mut random = Random::new(seed);
        let texts: Vec<String> = (0..20).map(|i| format!("{i} {}", "x".repeat(random.below(3000)))).collect();
        let (sent, got) = (texts.clone(), Rc::new(RefCell::new(Vec::new())));
        let (log, count) = (got.clone(), texts.len() + 1);
        let ended = Rc::new(RefCell::new(None));
        let end = ended.clone();
        let client = Client::builder()
            .open(move |ws| sent.iter().for_each(|text| assert!(!ws.send(text).is_dropped())))
            .message(move |ws, message| {
                log.borrow_mut().push(message.to_string());
                if log.borrow().len() == count {
                    ws.close(1000, "enough").unwrap();
                }
            })
            .close(move |_, code, reason| *end.borrow_mut() = Some((code, reason.to_owned())))
            .at([endpoint])
            .embed(Box::new(network.io()), "ws://a/")
            .unwrap();
        workers.push(client);
        assert!(network.run(LIMIT, || {
            turn(&mut workers);
            ended.borrow().is_some() && workers.iter().all(|worker| worker.population().0 == 0)
        }));
        assert_eq!(got.borrow()[0], "welcome");
        assert_eq!(got.borrow()[1..], texts);
        assert_eq!(*ended.borrow(), Some((1000, "enough".to_owned())), "a server answers with the reason as well");
    });
}

/// A server of raw bytes: answers the handshake with what `answer` makes of its key.
fn against(seed: u64, answer: impl Fn(&str) -> Vec<u8>, faults: Faults) -> Vec<String> {
    let network = Network::new(seed, faults);
    let mut listener = network.listen(&anywhere()).unwrap();
    let told = Told::default();
    let mut workers =
        vec![noting(&told).protocol("one").at([listener.local().clone()]).embed(Box::new(network.io()), "ws://a/").unwrap()];
    let (mut peer, mut request, mut answered) = (None, Vec::new(), false);
    network.run(LIMIT, || {
        turn(&mut workers);
        if peer.is_none() {
            peer = listener.accept().ok();
        }
        if let Some(peer) = &mut peer {
            request.extend(peer.read());
            if !answered && request.ends_with(b"\r\n\r\n") {
                answered = true;
                let text = String::from_utf8(request.clone()).unwrap();
                let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                peer.write(&answer(key));
                peer.shutdown();
            }
        }
        told.borrow().iter().any(|line| line.starts_with("close"))
    });
    drop(peer);
    drop(workers);
    assert_eq!(network.open_sockets(), 0, "seed {seed}");
    told.take()
}

fn good(key: &str) -> String {
    let accept = accept_for(key);
    format!(
        "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: one\r\n\r\n"
    )
}

#[test]
fn c32_frames_glued_to_the_101_come_after_open_in_order() {
    for_each_seed(300, |seed| {
        let told = against(seed, |key| [good(key).as_bytes(), b"\x81\x01a\x81\x01b\x88\x02\x03\xe8"].concat(), Faults::rough());
        assert_eq!(told, ["open", "message a", "message b", "close 1000"]);
    });
}

#[test]
fn c29_a_handshake_that_is_not_what_was_asked_for_fails() {
    type Answer = fn(&str) -> String;
    let cases: [(&str, Answer, &str); 7] = [
        ("a status", |_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), "expected status 101"),
        ("another key's accept", |_| good("AAAAAAAAAAAAAAAAAAAAAA=="), "Accept"),
        ("no Connection", |key| good(key).replace("Connection: Upgrade\r\n", ""), "Connection"),
        ("another protocol", |key| good(key).replace("one", "two"), "subprotocol"),
        ("an extension", |key| good(key).replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n"), "extension"),
        ("no HTTP", |_| "SSH-2.0-OpenSSH\r\n\r\n".into(), "no HTTP response"),
        ("an endless head", |_| format!("HTTP/1.1 101 Go\r\nx: {}", "y".repeat(20_000)), "16 KiB"),
    ];
    for (name, answer, expected) in cases {
        let told = against(1, |key| answer(key).into_bytes(), Faults::none());
        assert_eq!(told.len(), 2, "{name}: {told:?}");
        assert!(told[0].starts_with("error") && told[0].contains(expected), "{name}: {told:?}");
        assert_eq!(told[1], "close 1006", "{name}");
    }
}

#[test]
fn c33_what_a_server_may_not_send_fails_the_connection() {
    let cases: [(&str, &[u8], &str); 3] = [
        ("a masked frame", b"\x81\x81\0\0\0\0a", "close 1002 frame from server is masked"),
        ("bad UTF-8", b"\x81\x01\xff", "close 1007 text is not valid UTF-8"),
        ("a reserved opcode", b"\x83\x00", "close 1002 reserved opcode"),
    ];
    for (name, frames, expected) in cases {
        let told = against(1, |key| [good(key).as_bytes(), frames].concat(), Faults::none());
        assert_eq!(told[0], "open", "{name}");
        assert!(told[1].starts_with(expected) && told.len() == 2, "{name}: {told:?}");
    }
}

/// Connects to a server of raw bytes, closes with 1000, and says what is told when the server then sends these frames and ends.
fn closing(frames: &[u8]) -> Vec<String> {
    let network = Network::new(1, Faults::none());
    let mut listener = network.listen(&anywhere()).unwrap();
    let told = Told::default();
    let io = Box::new(network.io());
    let mut workers = vec![noting(&told).protocol("one").at([listener.local().clone()]).embed(io, "ws://a/").unwrap()];
    let (mut peer, mut request, mut answered, mut after) = (None, Vec::new(), false, Vec::new());
    network.run(LIMIT, || {
        turn(&mut workers);
        if peer.is_none() {
            peer = listener.accept().ok();
        }
        let Some(peer) = &mut peer else { return false };
        if !answered {
            request.extend(peer.read());
            if request.ends_with(b"\r\n\r\n") {
                answered = true;
                let text = String::from_utf8(request.clone()).unwrap();
                let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                peer.write(good(key).as_bytes());
            }
        } else if after.is_empty() && told.borrow().len() == 1 {
            workers[0].sockets().next().unwrap().close(1000, "mine").unwrap();
            assert_eq!(told.borrow().len(), 1, "not inside the call");
            after.push(());
        } else if after.len() == 1 && !peer.read().is_empty() {
            after.push(());
            peer.write(frames);
            peer.shutdown();
        }
        told.borrow().iter().any(|line| line.starts_with("close"))
    });
    told.take()
}

#[test]
fn c30_codes_and_reasons_that_may_not_be_sent_are_refused_in_every_state() {
    let network = Network::new(1, Faults::none());
    let (_server, mut workers) = Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .embed(vec![Box::new(network.io())]);
    let endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();
    let told = Told::default();
    workers.push(noting(&told).at([endpoint]).embed(Box::new(network.io()), "ws://a/").unwrap());
    let socket = workers[1].sockets().next().unwrap();
    for (state, until) in [("connecting", 0), ("open", 1), ("closed", 2)] {
        network.run(LIMIT, || {
            turn(&mut workers);
            told.borrow().len() >= until
        });
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
            assert!(socket.close(code, "").is_err(), "{code} while {state}");
        }
        assert!(socket.close(1000, &"x".repeat(124)).is_err() && socket.close(1000, &"\u{fc}".repeat(62)).is_err(), "{state}");
        assert_eq!(told.borrow().len(), until, "nothing was done");
        if state == "open" {
            socket.close(3000, &"x".repeat(123)).unwrap();
        }
    }
    assert_eq!(*told.borrow(), ["open".to_owned(), format!("close 3000 {}", "x".repeat(123))]);
}

#[test]
fn c35_a_server_that_does_not_answer_the_close_is_not_waited_for() {
    let network = Network::new(1, Faults::none());
    let mut listener = network.listen(&anywhere()).unwrap();
    let told = Told::default();
    let client = noting(&told).protocol("one").at([listener.local().clone()]);
    let mut workers = vec![client.embed(Box::new(network.io()), "ws://a/").unwrap()];
    let (mut peer, mut request, mut closed) = (None, Vec::new(), None);
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        peer = peer.take().or_else(|| listener.accept().ok());
        let Some(peer) = &mut peer else { return false };
        request.extend(peer.read());
        if told.borrow().is_empty() && request.ends_with(b"\r\n\r\n") {
            let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
            peer.write(good(text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap()).as_bytes());
        }
        if !told.borrow().is_empty() && closed.is_none() {
            workers[0].sockets().next().unwrap().close(1000, "").unwrap();
            closed = Some(network.now());
        }
        told.borrow().len() == 2
    }));
    assert_eq!(*told.borrow(), ["open", "close 1006"]);
    let took = network.now() - closed.unwrap();
    assert!((5..=7).contains(&took.as_secs()), "{took:?}");
    drop((peer, workers));
    assert_eq!(network.open_sockets(), 0);
}

#[test]
fn a_client_that_closes_is_told_what_the_server_answered() {
    assert_eq!(closing(b"\x88\x02\x03\xe8"), ["open", "close 1000"]);
    assert_eq!(closing(b"\x88\x05\x0f\xa0bye"), ["open", "close 4000 bye"]);
    assert_eq!(closing(b"\x88\x00"), ["open", "close 1005"]);
    assert_eq!(closing(b""), ["open", "close 1006"], "it ended without an answer");
    assert_eq!(closing(b"\x81\x04late\x88\x02\x03\xe8"), ["open", "close 1000"], "what comes late is not delivered");
    let failed = closing(b"\x83\x00");
    assert!(failed[1].starts_with("close 1002 "), "{failed:?}");
}

#[test]
fn c31_close_while_connecting_is_an_error_and_1006_later() {
    let network = Network::new(1, Faults::none());
    let listener = network.listen(&anywhere()).unwrap();
    let told = Told::default();
    let io = Box::new(network.io());
    let mut worker = noting(&told).at([listener.local().clone()]).embed(io, "ws://a/").unwrap();
    let ids: Vec<SocketId> = worker.sockets().map(|socket| socket.id()).collect();
    assert_eq!(ids.len(), 1);
    let socket = worker.sockets().next().unwrap();
    socket.close(1000, "").unwrap();
    assert!(told.borrow().is_empty(), "not inside the call");
    worker.turn(Some(std::time::Duration::ZERO)).unwrap();
    assert_eq!(*told.borrow(), ["error closed before the connection was open", "close 1006"]);
}

#[test]
fn c31_c35_a_refused_connection_and_one_that_takes_too_long_are_reported() {
    let network = Network::new(1, Faults::none());
    let told = Told::default();
    let nobody = Endpoint::Tcp(([127, 0, 0, 1], 9).into());
    let mut workers = vec![noting(&told).at([nobody]).embed(Box::new(network.io()), "ws://a/").unwrap()];
    network.run(LIMIT, || {
        turn(&mut workers);
        told.borrow().len() == 2
    });
    assert!(told.borrow()[0].contains("refused"), "{:?}", told.borrow());
    assert_eq!(told.borrow()[1], "close 1006");

    let told = Told::default();
    let silent = network.listen(&anywhere()).unwrap();
    let begun = network.now();
    let mut workers = vec![noting(&told).at([silent.local().clone()]).embed(Box::new(network.io()), "ws://a/").unwrap()];
    network.run(LIMIT, || {
        turn(&mut workers);
        told.borrow().len() == 2
    });
    assert_eq!(*told.borrow(), ["error the connection was not open in time", "close 1006"]);
    let took = network.now() - begun;
    assert!((10..=12).contains(&took.as_secs()), "{took:?}");
}
