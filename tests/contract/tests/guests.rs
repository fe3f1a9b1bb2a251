//! Workers as guests of a foreign loop, with an application of its own: groups that workers join and leave while others run, and
//! requests whose peers leave, or that may take longer than others.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tidewire::engine::{Application, Group, LocalSocket, LocalWorker, Worker};
use tidewire::http::Responder;
use tidewire::sys::{Endpoint, Io, ListenOptions};
use tidewire::{Message, Options, Request, Response};
use tidewire_contract::LIMIT;
use tidewire_kit::client::{Client, Upgrade};
use tidewire_kit::for_each_seed;
use tidewire_kit::sim::{Faults, Network, Peer};

/// What `fetch` does is in the path; what comes of a request's peer is in `gone`, and of its connection in `over`.
#[derive(Default)]
struct App {
    worker: OnceCell<LocalWorker>,
    held: RefCell<Vec<Responder>>,
    gone: Rc<RefCell<Vec<(String, bool)>>>,
    over: Rc<RefCell<Vec<(String, bool)>>>,
}

impl Application for App {
    fn fetch(&self, request: Request, responder: Responder) {
        let (path, gone, log) = (request.uri().path().to_owned(), responder.peer_gone(), self.gone.clone());
        let entry = path.clone();
        self.worker.get().unwrap().spawn(async move {
            let left = gone.await;
            log.borrow_mut().push((entry, left));
        });
        let (entry, over, log) = (path.clone(), responder.connection_gone(), self.over.clone());
        responder.worker().spawn(async move {
            let over = over.await;
            log.borrow_mut().push((entry, over));
        });
        match &*path {
            "/answered" => return responder.respond(Response::new("answered".into())),
            "/upgraded" => return responder.upgrade(&request, &http::HeaderMap::new(), None).unwrap(),
            "/patient" => responder.set_idle_timeout(Duration::from_secs(600)),
            "/for-ever" => responder.set_idle_timeout(Duration::ZERO),
            _ => {}
        }
        self.held.borrow_mut().push(responder);
    }

    fn open(&self, socket: &LocalSocket) {
        socket.subscribe("room").unwrap();
    }

    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        socket.publish("room", message);
    }
}

/// Workers on one network, each of which may go.
struct House {
    network: Network,
    group: Group,
    endpoint: Endpoint,
    workers: Vec<Option<(Worker, Rc<App>)>>,
}

impl House {
    fn new(seed: u64, faults: Faults) -> Self {
        let (network, group) = (Network::new(seed, faults), Group::new(Vec::new()));
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        Self { network, group, endpoint, workers: Vec::new() }
    }

    /// One more worker; gives its place.
    fn join(&mut self) -> usize {
        let io = self.network.io();
        let place = self.group.join(io.waker()).unwrap();
        let app = Rc::new(App::default());
        // Clients that are not stepped answer no ping.
        let options = Options { idle_timeout: Duration::ZERO, http_idle_timeout: Duration::from_secs(10), ..Options::default() };
        let mut worker = Worker::new(Box::new(io), &self.group, place, options, app.clone());
        app.worker.set(worker.handle()).unwrap();
        let listen = ListenOptions { reuse_port: true, ..ListenOptions::default() };
        self.endpoint = worker.listen(&self.endpoint, &listen).unwrap();
        if place == self.workers.len() {
            self.workers.push(None);
        }
        assert!(self.workers[place].replace((worker, app)).is_none(), "a place is given to one at a time");
        place
    }

    /// How many WebSockets each worker has.
    fn population(&self, place: usize) -> usize {
        self.workers[place].as_ref().map_or(0, |(worker, _)| worker.population().1)
    }

    fn until(&mut self, clients: &mut [Client<Peer>], what: &str, mut done: impl FnMut(&[Client<Peer>], &Group) -> bool) {
        let Self { network, workers, group, .. } = self;
        let reached = network.run(LIMIT, || {
            workers.iter_mut().flatten().for_each(|(worker, _)| worker.turn(None).unwrap());
            clients.iter_mut().for_each(|client| while client.step() {});
            done(clients, group)
        });
        assert!(reached, "waited in vain for: {what}");
    }

    /// Opens clients until a worker has one more.
    fn client_of(&mut self, place: usize, others: &mut Vec<Client<Peer>>) -> Client<Peer> {
        for _ in 0..200 {
            let before = self.population(place);
            let mut client = [Client::open(self.network.connect(&self.endpoint), &Upgrade::to("/upgraded"))];
            self.until(&mut client, "an upgrade", |client, _| client[0].is_open());
            let [client] = client;
            if self.population(place) > before {
                return client;
            }
            others.push(client);
        }
        panic!("no connection comes to worker {place}");
    }

    fn request(&self, path: &str) -> Peer {
        let mut peer = self.network.connect(&self.endpoint);
        peer.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        peer
    }

    fn gone(&self) -> Vec<(String, bool)> {
        self.workers.iter().flatten().flat_map(|(_, app)| app.gone.borrow().clone()).collect()
    }
}

#[test]
fn workers_join_and_leave_while_others_run_and_the_counts_follow() {
    for_each_seed(200, |seed| {
        let mut house = House::new(seed, Faults::rough());
        let (first, second) = (house.join(), house.join());
        let mut others = Vec::new();
        let sender = house.client_of(first, &mut others);
        let reader = house.client_of(second, &mut others);
        drop(others);
        house.until(&mut [], "the others to be gone", |_, group| group.subscriber_count("room") == 2);

        let mut clients = [sender, reader];
        clients[0].send_text("one");
        house.until(&mut clients, "a publish on another worker", |clients, _| clients[1].messages().len() == 1);

        // The reader's worker goes, with a publish to it under way.
        clients[0].send_text("two");
        house.workers[second] = None;
        assert_eq!(house.group.subscriber_count("room"), 1);
        house.until(&mut clients, "the reader's end", |clients, _| !clients[1].is_open());

        assert_eq!(house.join(), second, "its place is free again");
        let [sender, _] = clients;
        let mut others = Vec::new();
        let reader = house.client_of(second, &mut others);
        let mut clients = [sender, reader];
        clients[0].send_text("three");
        // "two" may have been under way for so long that the new reader gets it too.
        let three = tidewire_contract::texts(["three"]);
        house.until(&mut clients, "a publish on the new worker", |clients, _| clients[1].messages().ends_with(&three));
        drop((clients, others));
        house.until(&mut [], "all to be gone", |_, group| group.subscriber_count("room") == 0);
        let metrics = house.group.metrics();
        assert_eq!(metrics.opened, metrics.ended, "what a worker that has left has counted is not lost");
    });
}

#[test]
fn a_request_is_told_that_its_peer_has_left_and_one_that_is_over_is_not() {
    let mut house = House::new(0, Faults::none());
    house.join();
    let (mut closing, resetting) = (house.request("/half-closed"), house.request("/reset"));
    let mut answered = house.request("/answered");
    let mut client = [Client::open(house.network.connect(&house.endpoint), &Upgrade::to("/upgraded"))];
    house.until(&mut client, "the upgrade", |client, _| client[0].is_open());
    assert_eq!(house.gone().len(), 2, "{:?}", house.gone());
    closing.shutdown();
    resetting.reset();
    for _ in 0..4 {
        house.until(&mut client, "a turn", |_, _| true);
    }
    let mut gone = house.gone();
    gone.sort();
    let expected = [("/answered", false), ("/half-closed", true), ("/reset", true), ("/upgraded", false)];
    assert_eq!(gone, expected.map(|(path, left)| (path.to_owned(), left)));
    let over = |house: &House| house.workers[0].as_ref().unwrap().1.over.borrow().clone();
    let mut ended = over(&house);
    ended.sort();
    let expected = [("/answered", false), ("/reset", true), ("/upgraded", false)];
    assert_eq!(ended, expected.map(|(path, over)| (path.to_owned(), over)), "half a connection is one");
    // Who has only ended its own direction can still be answered.
    let held = house.workers[0].as_ref().unwrap().1.held.take();
    held.into_iter().for_each(|responder| responder.respond(Response::new("late".into())));
    let mut text = Vec::new();
    house.until(&mut client, "the late answer", |_, _| {
        text.extend(closing.read());
        text.ends_with(b"late")
    });
    assert_eq!(over(&house).last(), Some(&("/half-closed".to_owned(), false)));
    assert!(String::from_utf8_lossy(&answered.read()).ends_with("answered"));
}

#[test]
fn a_request_may_have_an_idle_timeout_of_its_own() {
    let mut house = House::new(0, Faults::none());
    house.join();
    let mut peers = ["/usual", "/patient", "/for-ever", "/for-ever"].map(|path| house.request(path));
    peers[3].shutdown(); // what is never answered must not be kept for ever for nobody
    let ended =
        |network: &Network| peers.iter().map(|peer| (peer.is_at_end() || peer.is_reset(), network.now())).collect::<Vec<_>>();
    let network = house.network.clone();
    let mut times = [None; 4];
    house.until(&mut [], "two of them to end", |_, _| {
        for (time, (ended, now)) in times.iter_mut().zip(ended(&network)) {
            if ended && time.is_none() {
                *time = Some(now.as_secs());
            }
        }
        times[0].is_some() && times[1].is_some()
    });
    assert!((10..=13).contains(&times[0].unwrap()) && (600..=603).contains(&times[1].unwrap()), "{times:?}");
    assert_eq!(times[2], None);
    assert!((120..=123).contains(&times[3].unwrap()), "{times:?}");
}
