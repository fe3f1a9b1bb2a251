//! Row 20 for a client: what a server may do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidewire::Client;
use tidewire::sys::Endpoint;
use tidewire::tls::{ClientTls, Connector};
use tidewire_hardening::frame;
use tidewire_kit::client::{Arrival, Wire, accept_for};
use tidewire_kit::sim::{Faults, Network, Peer};
use tidewire_kit::tls::{Authority, Certified, TLS_1_2, TLS_1_3, Tls, Version};
use tidewire_kit::{Random, for_each_seed};
use tidewire_proto::Role;

const SEEDS: u64 = 1000;
const VERSIONS: [&Version; 2] = [TLS_1_2, TLS_1_3];

thread_local! {
    /// A server's certificate, and who trusts it.
    static MADE: (Certified, Connector) = {
        let authority = Authority::new();
        let connector = ClientTls::new().ca(authority.cert().into_bytes()).build().unwrap();
        (authority.certify(&["localhost"]), connector)
    };
}

/// What becomes of the server's bytes at one place of its stream.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(u8),
    Insert(u8),
    /// The end, with nothing said.
    End,
    /// Nothing more comes, ever.
    Silence,
}

/// A server's wire that can be damaged, and that cuts the records of its handshake into many of one byte.
struct Records {
    peer: Peer,
    shredded: bool,
    /// How many bytes were sent so far, and where the damage is.
    sent: usize,
    damage: Option<(usize, Damage)>,
    deaf: bool,
}

impl Records {
    fn put(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let start = self.sent;
        self.sent += bytes.len();
        if let Some((at, damage)) = self.damage.filter(|(at, _)| (start..start + bytes.len()).contains(at)) {
            match damage {
                Damage::Flip(bit) => bytes[at - start] ^= 1 << bit,
                Damage::Insert(byte) => bytes.insert(at - start, byte),
                Damage::End | Damage::Silence => bytes.truncate(at - start),
            }
        }
        if !self.deaf {
            self.peer.write(&bytes);
        }
        if let Some((_, damage)) = self.damage.filter(|(at, _)| self.sent > *at) {
            if matches!(damage, Damage::End) && !self.deaf {
                self.peer.shutdown();
            }
            self.deaf |= matches!(damage, Damage::End | Damage::Silence);
        }
    }
}

impl Wire for Records {
    fn send(&mut self, mut bytes: &[u8]) {
        while self.shredded && bytes.len() > 5 {
            let (record, rest) = bytes.split_at(5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]])));
            match record[0] {
                22 => record[5..].iter().for_each(|byte| self.put(&[22, record[1], record[2], 0, 1, *byte])),
                kind => {
                    // What is behind a change of keys is encrypted, and a record of its own.
                    self.shredded = kind != 20;
                    self.put(record);
                }
            }
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.put(bytes);
        }
    }

    fn receive(&mut self) -> Arrival {
        self.peer.receive()
    }
}

type Served = Tls<Records>;

/// How a server of raw bytes behaves.
struct Script<'a> {
    version: &'static Version,
    faults: Faults,
    shredded: bool,
    damage: Option<(usize, Damage)>,
    /// What it says when the request has come, with the answer to it.
    say: &'a dyn Fn(&mut Served, &[u8]),
}

impl<'a> Script<'a> {
    fn new(version: &'static Version, say: &'a dyn Fn(&mut Served, &[u8])) -> Self {
        Self { version, faults: Faults::rough(), shredded: false, damage: None, say }
    }
}

/// What came of a meeting.
struct Met {
    /// What the client was told, in order.
    told: Vec<String>,
    /// What the server got behind the request.
    got: Vec<u8>,
    /// How many bytes the server has sent.
    sent: usize,
    /// How long it took.
    time: Duration,
}

/// A client that notes what it is told, and echoes.
fn client(told: &Rc<RefCell<Vec<String>>>, at: Endpoint) -> Client {
    let note = || {
        let told = told.clone();
        move |line: String| told.borrow_mut().push(line.trim_end().to_owned())
    };
    let (open, message, close, error) = (note(), note(), note(), note());
    Client::builder()
        .open(move |_| open("open".into()))
        .message(move |ws, text| {
            message(format!("message {text}"));
            ws.send(text);
        })
        .close(move |_, code, reason| close(format!("close {code} {reason}")))
        .error(move |_, why| error(format!("error {why}")))
        .tls(&MADE.with(|(_, connector)| connector.clone()))
        .at([at])
}

/// Runs a client against such a server, until it is over for both.
fn meet(seed: u64, script: &Script<'_>) -> Met {
    let network = Network::new(seed, script.faults.clone());
    let mut listener = network.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let told = Rc::new(RefCell::new(Vec::new()));
    let client = client(&told, listener.local().clone());
    let mut worker = client.embed(Box::new(network.io()), "wss://localhost/").unwrap();
    let certified = MADE.with(|(certified, _)| certified.clone());
    let (mut server, mut got, mut answered): (Option<Served>, Vec<u8>, bool) = (None, Vec::new(), false);
    let ended = network.run(Duration::from_secs(600), || {
        worker.turn(None).unwrap();
        if server.is_none()
            && let Ok(peer) = listener.accept()
        {
            let wire = Records { peer, shredded: script.shredded, sent: 0, damage: script.damage, deaf: false };
            server = Some(Tls::accept(wire, &certified, script.version));
        }
        let Some(tls) = &mut server else { return false };
        match tls.receive() {
            Arrival::Bytes(bytes) => got.extend(bytes),
            Arrival::End | Arrival::Reset if !tls.wire().deaf => tls.wire().peer.shutdown(),
            _ => {}
        }
        if !answered && got.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(std::mem::take(&mut got)).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = accept_for(key);
            let answer =
                format!("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
            (script.say)(tls, answer.as_bytes());
            answered = true;
        }
        let left = tls.wire().peer.is_at_end() || tls.wire().peer.is_reset();
        left && worker.population().0 == 0 && told.borrow().last().is_some_and(|line: &String| line.starts_with("close"))
    });
    assert!(ended, "seed {seed}: {:?}", told.borrow());
    let (time, sent) = (network.now(), server.as_mut().map_or(0, |tls| tls.wire().sent));
    drop(server);
    drop(worker);
    drop(listener);
    network.settle(|| {});
    assert_eq!((network.open_sockets(), network.abandoned(), network.buffers_lent()), (0, 0, 0), "seed {seed}");
    Met { told: told.take(), got, sent, time }
}

fn text(text: &str) -> Vec<u8> {
    frame(Role::Client, 0x81, text.as_bytes())
}

fn close() -> Vec<u8> {
    frame(Role::Client, 0x88, b"\x03\xe8bye")
}

const CLEAN: [&str; 3] = ["open", "message one", "close 1000 bye"];
const LOST: [&str; 3] = ["open", "message one", "close 1006"];

#[test]
fn row_20_a_truncated_stream_of_a_servers_is_told_from_a_clean_end() {
    for_each_seed(SEEDS, |seed| {
        let version = VERSIONS[seed as usize % 2];
        let told = |say: &dyn Fn(&mut Served, &[u8])| meet(seed, &Script::new(version, say)).told;
        let end = |tls: &mut Served| tls.wire().peer.shutdown();
        let clean = |notified: bool| {
            told(&|tls, answer| {
                tls.send(&[answer, &text("one"), &close()].concat());
                if notified {
                    tls.close_notify();
                }
                end(tls);
            })
        };
        // A WebSocket says itself that it is complete: a close_notify that is left out takes nothing from it.
        assert_eq!((clean(true), clean(false)), (CLEAN.map(str::to_owned).to_vec(), CLEAN.map(str::to_owned).to_vec()));
        // And one that is there makes nothing complete that is not.
        assert_eq!(
            told(&|tls, answer| {
                tls.send(&[answer, &text("one"), &frame(Role::Client, 0x01, b"tw")].concat());
                tls.close_notify();
                end(tls);
            }),
            LOST
        );
        // Cut anywhere in the record of another message and of the Close.
        assert_eq!(
            told(&|tls, answer| {
                tls.send(&[answer, &text("one")].concat());
                let record = tls.seal(&[text("two"), close()].concat());
                tls.wire().put(&record[..seed as usize / 2 % record.len()]);
                end(tls);
            }),
            LOST
        );
        // What somebody puts behind the server's last word is nobody's.
        assert_eq!(
            told(&|tls, answer| {
                tls.send(&[answer, &text("one")].concat());
                let late = tls.seal(&[text("two"), close()].concat());
                tls.close_notify();
                tls.wire().put(&late);
                end(tls);
            }),
            LOST
        );
    });
}

#[test]
fn row_20_an_answer_that_is_cut_off_anywhere_opens_nothing() {
    for version in VERSIONS {
        for cut in 0.. {
            let past = RefCell::new(false);
            let say = |tls: &mut Served, answer: &[u8]| {
                let record = tls.seal(answer);
                *past.borrow_mut() = cut >= record.len();
                tls.wire().put(&record[..cut.min(record.len())]);
                tls.wire().peer.shutdown();
            };
            let met = meet(1, &Script { faults: Faults::none(), ..Script::new(version, &say) });
            if *past.borrow() {
                assert_eq!(met.told, ["open", "close 1006"]);
                break;
            }
            assert_eq!(met.told, ["error the server ended the connection before it was open", "close 1006"], "cut at {cut}");
        }
    }
}

#[test]
fn row_20_a_server_whose_records_are_of_one_byte_is_understood() {
    for_each_seed(SEEDS, |seed| {
        let say = |tls: &mut Served, answer: &[u8]| {
            tls.set_piece(1);
            tls.send(&[answer, &text("one"), &text("two"), &close()].concat());
            tls.close_notify();
        };
        // Stalls for every few bytes would be longer than anybody waits.
        let faults = Faults { stall: 0.0, ..Faults::rough() };
        let met = meet(seed, &Script { shredded: true, faults, ..Script::new(VERSIONS[seed as usize % 2], &say) });
        assert_eq!(met.told, ["open", "message one", "message two", "close 1000 bye"], "seed {seed}");
        // Two echoes of nine bytes, and the answer to the Close.
        assert_eq!(met.got.iter().step_by(9).take(3).copied().collect::<Vec<_>>(), [0x81, 0x81, 0x88], "seed {seed}");
    });
}

#[test]
fn row_20_a_server_that_is_damaged_anywhere_gives_one_close_and_no_hang() {
    let say = |tls: &mut Served, answer: &[u8]| {
        tls.send(&[answer, &text("one"), &close()].concat());
        tls.close_notify();
    };
    let whole = VERSIONS.map(|version| meet(1, &Script::new(version, &say)));
    for met in &whole {
        assert_eq!(met.told, CLEAN);
    }
    for_each_seed(SEEDS, |seed| {
        let mut random = Random::new(seed);
        let which = random.below(2);
        let damage = match random.below(4) {
            0 => Damage::Flip(random.below(8) as u8),
            1 => Damage::Insert(random.bits() as u8),
            2 => Damage::End,
            _ => Damage::Silence,
        };
        let at = random.below(whole[which].sent);
        let faults = Faults { stall: 0.0, ..Faults::rough() };
        let met = meet(seed, &Script { faults, damage: Some((at, damage)), ..Script::new(VERSIONS[which], &say) });
        let (last, before) = met.told.split_last().unwrap();
        assert!(last.starts_with("close 10"), "seed {seed}, {damage:?} at {at}: {:?}", met.told);
        match before {
            [failure] if failure.starts_with("error ") => {
                // A server that says no more, or less than it has announced, is waited for, but not for ever.
                let late = failure.ends_with("was not open in time");
                match damage {
                    Damage::Silence => assert!(late, "seed {seed}, at {at}: {failure}"),
                    Damage::End => assert!(!late, "seed {seed}, at {at}: {failure}"),
                    Damage::Flip(_) | Damage::Insert(_) => {}
                }
                assert!(met.time < Duration::from_secs(13), "seed {seed}, {damage:?} at {at}: {:?}", met.time);
            }
            [first, rest @ ..] => {
                assert_eq!(first, "open", "seed {seed}, {damage:?} at {at}: {:?}", met.told);
                assert!(rest.is_empty() || rest == ["message one"], "seed {seed}, {damage:?} at {at}: {:?}", met.told);
            }
            [] => panic!("seed {seed}, {damage:?} at {at}: {:?}", met.told),
        }
    });
}

#[test]
fn row_20_garbage_behind_a_servers_handshake_ends_the_connection() {
    for_each_seed(SEEDS, |seed| {
        let say = |tls: &mut Served, answer: &[u8]| {
            let mut random = Random::new(seed);
            tls.send(&[answer, &text("one")].concat());
            let length = random.within(1..=300);
            let mut garbage = random.bytes(length);
            if random.chance(0.5) {
                garbage.splice(0..0, [*random.pick(&[20, 21, 22, 23]), 3, 3, 0, length.min(255) as u8]);
            }
            tls.wire().put(&garbage);
            tls.wire().peer.shutdown();
        };
        assert_eq!(meet(seed, &Script::new(VERSIONS[seed as usize % 2], &say)).told, LOST, "seed {seed}");
    });
}
