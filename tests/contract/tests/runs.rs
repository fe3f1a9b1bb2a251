//! Runs: an application that takes short messages together is told no more, no less and nothing else than one that takes them one by one.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tidewire::engine::{Application, Group, LocalSocket, Run, Worker};
use tidewire::http::Responder;
use tidewire::sys::{Endpoint, Io, ListenOptions};
use tidewire::{Message, Options, Request, SendStatus};
use tidewire_contract::{LIMIT, texts};
use tidewire_kit::client::{Client, Message as Received, Upgrade};
use tidewire_kit::sim::{Faults, Network, Peer};
use tidewire_kit::{Random, for_each_seed};

/// Echoes. Of each run it takes all messages one by one, or some ahead, handles some of these and puts the others back; whatever it handles may pause the socket
/// until the next turn, and the text `close` closes it.
struct Echo {
    random: RefCell<Random>,
    paused: RefCell<Vec<LocalSocket>>,
    runs: Cell<usize>,
    log: RefCell<Vec<String>>,
    /// Pauses now and then.
    pauses: bool,
}

impl Echo {
    fn new(seed: u64, pauses: bool) -> Rc<Self> {
        let (random, paused, runs, log) = (Random::new(seed).into(), RefCell::default(), Cell::new(0), RefCell::default());
        Rc::new(Self { random, paused, runs, log, pauses })
    }

    /// Handles one message; whether those behind it in its run must wait.
    fn handle(&self, socket: &LocalSocket, message: &Message<'_>) -> bool {
        self.log.borrow_mut().push(message.text().into_owned());
        if message.text() == "close" {
            socket.close(4000, "").unwrap();
            return true;
        }
        socket.send(message.clone());
        let pauses = self.pauses && self.random.borrow_mut().below(4) == 0;
        if pauses {
            socket.pause();
            self.paused.borrow_mut().push(socket.clone());
        }
        pauses
    }
}

impl Application for Echo {
    fn fetch(&self, request: Request, responder: Responder) {
        responder.upgrade(&request, &http::HeaderMap::new(), None).unwrap();
    }

    fn takes_runs(&self) -> bool {
        true
    }

    fn run(&self, socket: &LocalSocket, run: &mut Run<'_>) {
        if self.random.borrow_mut().below(3) == 0 {
            self.runs.set(self.runs.get() + 1);
            // The run itself ends behind a message that closes or pauses.
            while let Some(message) = run.next() {
                self.handle(socket, &message);
            }
            return;
        }
        let most = self.random.borrow_mut().below(6);
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(message) = run.next_ahead()
        {
            taken.push(Message::from(message).into_owned());
        }
        if taken.is_empty() {
            return;
        }
        self.runs.set(self.runs.get() + 1);
        let enough = 1 + self.random.borrow_mut().below(taken.len());
        let stop = taken[..enough].iter().position(|message| self.handle(socket, message));
        run.keep(stop.map_or(enough, |at| at + 1));
    }

    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        self.handle(socket, &message);
    }

    fn close(&self, _: &LocalSocket, code: u16, reason: &str) {
        self.log.borrow_mut().push(format!("{code} {reason}"));
    }
}

/// A worker with an application, and one client.
struct World {
    network: Network,
    worker: Worker,
    app: Rc<Echo>,
    client: Client<Peer>,
    group: Group,
}

impl World {
    fn new(seed: u64, faults: Faults, app: Rc<Echo>) -> Self {
        let network = Network::new(seed, faults);
        let io = network.io();
        let group = Group::new(vec![io.waker()]);
        let options = Options { idle_timeout: Duration::ZERO, ..Options::default() };
        let mut worker = Worker::new(Box::new(io), &group, 0, options, app.clone());
        let endpoint = worker.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &ListenOptions::default()).unwrap();
        let client = Client::open(network.connect(&endpoint), &Upgrade::to("/"));
        let mut this = Self { network, worker, app, client, group };
        this.until(|world| world.client.is_open(), "the upgrade");
        this
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool, what: &str) {
        let network = self.network.clone();
        let reached = network.run(LIMIT, || {
            self.worker.turn(None).unwrap();
            self.app.paused.take().iter().for_each(LocalSocket::resume);
            while self.client.step() {}
            done(self)
        });
        assert!(reached, "waited in vain for: {what}");
    }
}

#[test]
fn what_is_put_back_comes_again_in_order() {
    for_each_seed(1_000, |seed| {
        let mut world = World::new(seed, Faults::default(), Echo::new(seed, true));
        let mut random = Random::new(seed);
        // Most are short; some are not, and some are no text.
        let messages: Vec<Received> = (0..40)
            .map(|number| match random.below(8) {
                0 => Received::Text(format!("{number} {}", "x".repeat(200))),
                1 => Received::Binary(vec![number; random.below(126)]),
                _ => Received::Text(number.to_string()),
            })
            .collect();
        for message in &messages {
            match message {
                Received::Text(text) => world.client.send_text(text),
                Received::Binary(bytes) => world.client.send_binary(bytes),
                _ => unreachable!("not among them"),
            }
        }
        world.until(|world| world.client.messages().len() == messages.len(), "all echoes");
        assert_eq!(world.client.messages(), messages);
        assert!(world.app.runs.get() > 0);
        assert_eq!(world.group.metrics().messages_in, 40, "what was put back is counted once");
    });
}

#[test]
fn nothing_follows_a_close_and_invalid_text_is_judged_when_it_is_due() {
    for_each_seed(200, |seed| {
        let mut world = World::new(seed, Faults::none(), Echo::new(seed, false));
        for text in ["1", "2", "close", "3"] {
            world.client.send_text(text);
        }
        world.until(|world| world.app.log.borrow().len() == 4, "the close");
        assert_eq!(*world.app.log.borrow(), ["1", "2", "close", "4000 "]);

        let mut world = World::new(seed, Faults::none(), Echo::new(seed, true));
        world.client.send_text("1");
        world.client.send_frame(0x81, b"\xff");
        world.client.send_text("2");
        world.until(|world| world.app.log.borrow().len() == 2, "the error");
        assert_eq!(world.app.log.borrow()[0], "1");
        assert!(world.app.log.borrow()[1].starts_with("1006"), "{:?}", world.app.log.borrow());
        assert_eq!(world.client.messages(), texts(["1"]));
    });
}

/// Sends to itself as long as there is room, when it is asked to.
struct Filler(RefCell<Vec<usize>>);

impl Application for Filler {
    fn fetch(&self, request: Request, responder: Responder) {
        responder.upgrade(&request, &http::HeaderMap::new(), None).unwrap();
    }

    fn message(&self, socket: &LocalSocket, _: Message<'_>) {
        let mut rooms = self.0.borrow_mut();
        loop {
            let room = socket.room();
            rooms.push(room);
            if room < 106 {
                break;
            }
            assert_eq!(socket.send("x".repeat(100)), SendStatus::Sent(100));
            assert!(socket.room() >= room - 106, "no more than its frame");
        }
        socket.flush();
        while socket.send("x".repeat(1000)) != SendStatus::Backpressure {}
        rooms.push(socket.room());
        socket.terminate();
        rooms.push(socket.room());
    }
}

#[test]
fn what_there_is_room_for_is_sent() {
    let network = Network::new(1, Faults::none());
    let io = network.io();
    let group = Group::new(vec![io.waker()]);
    let app = Rc::new(Filler(RefCell::default()));
    let mut worker = Worker::new(Box::new(io), &group, 0, Options::default(), app.clone());
    let endpoint = worker.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &ListenOptions::default()).unwrap();
    let mut client = Client::open(network.connect(&endpoint), &Upgrade::to("/"));
    let mut asked = false;
    let done = network.run(LIMIT, || {
        worker.turn(None).unwrap();
        // It reads nothing more once it has asked.
        while !asked && client.step() {}
        if client.is_open() && !asked {
            asked = true;
            client.send_text("go");
            while client.step() {}
        }
        !app.0.borrow().is_empty()
    });
    assert!(done);
    let rooms = app.0.borrow();
    assert_eq!(rooms[0], 64 * 1024 - 1, "what is flushed without waiting for the end of the turn is 64 KiB");
    assert_eq!(rooms[rooms.len() - 2..], [0, 0], "behind backpressure, and once closed");
}
