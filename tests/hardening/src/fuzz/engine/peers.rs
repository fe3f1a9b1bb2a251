//! The peers of the target `engine`.

use std::time::Duration;

use tidewire::sys::Endpoint;
use tidewire_kit::client::frame::{FIN, Length, TEXT, encode};
use tidewire_kit::client::{Client, Upgrade};
use tidewire_kit::sim::{Network, Peer};

use super::super::Input;

/// The most at a time; one more takes the place of another.
const MOST: usize = 6;

const PATHS: [&str; 5] = ["/", "/later", "/twice", "/page", "/body"];
const OFFERS: [&str; 4] =
    ["", "; client_max_window_bits", "; server_max_window_bits=9; client_max_window_bits=10", "; server_no_context_takeover"];

#[derive(Debug, Default)]
pub struct Peers(Vec<Kind>);

#[derive(Debug)]
enum Kind {
    /// It reads all that comes, and sees whether that is WebSocket.
    Client(Box<Client<Peer>>),
    /// It reads when it is told to.
    Raw(Peer),
}

impl Peers {
    pub fn open_client(&mut self, network: &Network, endpoint: &Endpoint, input: &mut Input<'_>) {
        let choice = input.below(PATHS.len() * (OFFERS.len() + 1));
        let mut upgrade = Upgrade::to(PATHS[choice % PATHS.len()]).seed(choice as u64);
        if let Some(offer) = OFFERS.get(choice / PATHS.len()) {
            upgrade = upgrade.deflate(offer);
        }
        let client = Client::open(network.connect(endpoint), &upgrade);
        self.add(Kind::Client(Box::new(client)));
    }

    pub fn open_raw(&mut self, network: &Network, endpoint: &Endpoint, input: &mut Input<'_>) {
        let mut peer = network.connect(endpoint);
        match input.below(4) {
            0 => peer.write(input.chunk()),
            choice => peer.write(&Upgrade::to(PATHS[choice]).bytes("dGhlIHNhbXBsZSBub25jZQ==")),
        }
        self.add(Kind::Raw(peer));
    }

    fn add(&mut self, peer: Kind) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(peer);
    }

    /// One of them does something.
    pub fn act(&mut self, input: &mut Input<'_>) {
        let (which, what) = (usize::from(input.byte()), input.below(12));
        if self.0.is_empty() {
            return;
        }
        let which = which % self.0.len();
        let peer = &mut self.0[which];
        match what {
            0 => peer.bytes(input.chunk()),
            1 => peer.frame(input.byte(), input.chunk()),
            2 => peer.frame(FIN | TEXT, input.chunk()),
            3 => peer.compressed(input.chunk()),
            4 => {
                let first = input.byte();
                let times = 1 + usize::from(input.byte());
                peer.frame(first, &input.chunk().repeat(times));
            }
            5 => peer.read_at_most(16 * usize::from(input.byte())),
            6 => peer.wire().shutdown(),
            7 => peer.wire().stall(Duration::from_millis(100) * u32::from(input.byte())),
            8 => peer.answer_nothing(),
            9 => match self.0.remove(which) {
                Kind::Client(client) => client.into_wire().reset(),
                Kind::Raw(peer) => peer.reset(),
            },
            10 => drop(self.0.remove(which)),
            // Small messages, many at once.
            _ => {
                let text = input.chunk();
                (0..=input.below(64)).for_each(|_| peer.frame(FIN | TEXT, text));
            }
        }
    }

    /// The clients take in what has come.
    pub fn read(&mut self) {
        for peer in &mut self.0 {
            if let Kind::Client(client) = peer {
                while client.step() {}
                client.take_messages();
                client.take_frames();
            }
        }
    }
}

impl Kind {
    fn wire(&mut self) -> &mut Peer {
        match self {
            Self::Client(client) => client.wire(),
            Self::Raw(peer) => peer,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.wire().write(bytes);
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mask = [first, 0xaa, 0x00, payload.len() as u8];
        self.wire().write(&encode(first, Length::Minimal, Some(mask), payload));
    }

    /// A message compressed, where that was agreed on.
    fn compressed(&mut self, payload: &[u8]) {
        match self {
            Self::Client(client) if client.is_open() && client.is_compressed() => client.send_compressed(TEXT, payload),
            _ => self.frame(FIN | TEXT, payload),
        }
    }

    fn read_at_most(&mut self, limit: usize) {
        if let Self::Raw(peer) = self {
            peer.read_at_most(limit);
        }
    }

    fn answer_nothing(&mut self) {
        if let Self::Client(client) = self {
            client.answer_nothing();
        }
    }
}
