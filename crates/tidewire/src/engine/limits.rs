//! What is done when a limit is reached, besides the limit's own effect: it is counted, and told to the operator, but not more
//! often than somebody can read. The page [`crate::limits`] lists them all.

use super::connection::PeerAddress;
use super::counters::{Counter, Counters};
use super::timer::Tick;

/// How long after a line about a limit there is no other about the same, in ticks of a second.
const QUIET: Tick = 10;

macro_rules! limits {
    ($($limit:ident: $option:literal, $counter:ident, $level:ident, $what:literal;)*) => {
        /// A limit that was reached.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Limit {
            $($limit,)*
        }

        impl Limit {
            const COUNT: usize = [$(Self::$limit),*].len();

            fn counter(self, counters: &Counters) -> &Counter {
                match self {
                    $(Self::$limit => &counters.$counter,)*
                }
            }

            /// Logs it: by the name of the option, because that is what the operator may want to change.
            fn log(self, peer: PeerAddress, left_out: u64) {
                let peer = peer.address();
                match self {
                    $(Self::$limit => tracing::$level!(limit = $option, ?peer, left_out, $what),)*
                }
            }
        }

        /// Name of the option and of the counter, for the test that reads the documentation.
        #[cfg(test)]
        const DOCUMENTED: &[(&str, &str)] = &[$(($option, stringify!($counter)),)*];
    };
}

limits! {
    Connections: "max_connections", refused_connections, warn, "a connection was closed at once: there are as many as may be";
    ConnectionsPerAddress: "max_connections_per_address", refused_addresses, warn,
        "a connection was closed at once: there are as many from its address as may be";
    Head: "head_timeout", closed_head, warn, "a connection was ended: a handshake or the head of a request took too long";
    HttpIdle: "http_idle_timeout", closed_http_idle, debug, "an HTTP connection made no progress and was ended";
    HeadSize: "max_head_size, max_headers", refused_heads, warn, "a request was answered with 431: its head is too large";
    Malformed: "a well-formed head", malformed_heads, warn, "a request was answered with 400: its head is no HTTP";
    Body: "max_request_body", refused_bodies, warn, "a request was answered with 413: its body is too large";
    Origin: "origins", refused_origins, warn, "an upgrade was answered with 403: its origin is not on the list";
    Payload: "max_payload_length", closed_payload, warn, "a socket was closed with 1009: its message is too large";
    Inflation: "max_inflate_ratio", closed_inflation, warn, "a socket was closed with 1009: its message inflates too much";
    Fragments: "max_fragments", closed_fragments, warn, "a socket was closed with 1008: its message has too many fragments";
    Pings: "max_pings_per_second", closed_pings, warn, "a socket was closed with 1008: its peer sent too many pings";
    Idle: "idle_timeout", closed_idle, debug, "a silent socket was cut off";
    Backpressure: "backpressure_limit", dropped_backpressure, warn, "a message was dropped: too much waits for its peer";
    SlowReader: "close_on_backpressure_limit", closed_backpressure, warn, "a socket was cut off: too much waits for its peer";
    Unfinished: "close_timeout, drain_timeout", closed_unfinished, debug, "a connection was cut off: its peer does not end it";
    Subscriptions: "max_subscriptions, max_topic_length", refused_subscriptions, warn, "a subscription was refused";
    Connect: "connect_timeout", connects_timed_out, warn, "a connection of ours was given up: it took too long to open";
    Descriptors: "the system's limit of descriptors", accept_pauses, warn, "accepting is paused for a second";
    Mail: "the room of a mailbox", mail_refused, warn, "posts of other threads were refused: this worker is too far behind";
}

/// When what was last said.
#[derive(Debug)]
pub(crate) struct Notices {
    said: [Said; Limit::COUNT],
}

#[derive(Debug, Clone, Copy, Default)]
struct Said {
    again: Tick,
    left_out: u64,
}

impl Default for Notices {
    fn default() -> Self {
        Self { said: [Said::default(); Limit::COUNT] }
    }
}

impl Notices {
    /// A limit was reached: counts it, and logs it unless that was done in the last ten seconds.
    #[cold]
    pub fn reached(&mut self, limit: Limit, peer: PeerAddress, now: Tick, counters: &Counters) {
        limit.counter(counters).add(1);
        self.tell(limit, peer, now);
    }

    /// Logs it, as above, if somebody else counts it.
    #[cold]
    pub fn tell(&mut self, limit: Limit, peer: PeerAddress, now: Tick) {
        if let Some(left_out) = self.turn_to_speak(limit, now) {
            limit.log(peer, left_out);
        }
    }

    /// How many lines were left out since the last, when it is time for one.
    fn turn_to_speak(&mut self, limit: Limit, now: Tick) -> Option<u64> {
        let said = &mut self.said[limit as usize];
        if now < said.again {
            said.left_out += 1;
            return None;
        }
        said.again = now.saturating_add(QUIET);
        Some(std::mem::take(&mut said.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_in_ten_seconds_with_how_many_were_left_out() {
        let mut notices = Notices::default();
        assert_eq!(notices.turn_to_speak(Limit::Idle, 0), Some(0));
        for tick in 0..10 {
            assert_eq!(notices.turn_to_speak(Limit::Idle, tick), None);
        }
        assert_eq!(notices.turn_to_speak(Limit::Head, 5), Some(0), "each kind by itself");
        assert_eq!(notices.turn_to_speak(Limit::Idle, 10), Some(10));
        assert_eq!(notices.turn_to_speak(Limit::Idle, 19), None);
        assert_eq!(notices.turn_to_speak(Limit::Idle, 1000), Some(1));
    }

    #[test]
    fn every_limit_is_counted_by_its_own_counter_and_is_on_the_page() {
        let page = include_str!("../limits.rs");
        for (options, counter) in DOCUMENTED {
            let row = page.lines().find(|line| line.starts_with("//! |") && line.contains(&format!("`{counter}`")));
            let row = row.unwrap_or_else(|| panic!("no row has the counter {counter}"));
            for option in options.split(", ").filter(|option| !option.contains(' ')) {
                assert!(row.contains(&format!("`{option}`")), "{option} is not in the row of {counter}: {row}");
            }
            assert_eq!(DOCUMENTED.iter().filter(|(_, other)| other == counter).count(), 1, "{counter}");
        }
    }
}
