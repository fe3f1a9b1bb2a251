//! Manual: what a peer may not do, what it sees when it does, and what you see.
//!
//! Everything that a peer can make a server hold, or do, has a limit with a name. All are on by default, and no honest peer
//! notices them. They are fields of [`Options`](crate::Options), set by [`Builder::options`](crate::Builder::options), and
//! [`Server::reload`](crate::Server::reload) changes them while the server runs. What is reached is counted in
//! [`Metrics`](crate::Metrics), and logged through `tracing` with the option's name and the peer's address: of each kind one line in
//! ten seconds for each worker, which says how many were left out (`left_out`). Lines are warnings, but for those marked with
//! a *, which happen every day and are at the level debug.
//!
//! # Connections and requests
//!
//! | option | default | the peer sees | counter |
//! |---|---|---|---|
//! | `max_connections` | 1,048,576, of all workers | its connection is closed at once | `refused_connections` |
//! | `max_connections_per_address` | 16,384; this machine and unix sockets are not counted; of IPv6 the network of 64 bits | its connection is closed at once | `refused_addresses` |
//! | (descriptors, as the system has them) | | it waits in the kernel's queue; accepting is tried again each second, and open sockets do not notice | `accept_pauses` |
//! | `head_timeout`: a TLS handshake and the first head together, and each later head from its first byte | 10 s, restarted by nothing | its connection ends | `closed_head` |
//! | `http_idle_timeout`: between requests, and in one without progress | 10 s; 0: none | its connection ends | `closed_http_idle`* |
//! | `max_head_size` and `max_headers` | 16 KiB and 100 | 431, and the end | `refused_heads` |
//! | (a head that can be read in two ways: see below) | | 400, and the end | `malformed_heads` |
//! | `max_request_body` | 128 MiB | 413 when it says so before, and else whatever `fetch` makes of the error | `refused_bodies`: the 413s |
//! | `origins`, set by [`Builder::origins`](crate::Builder::origins) | none: all may connect | 403 | `refused_origins` |
//!
//! # WebSockets
//!
//! | option | default | the peer sees | counter |
//! |---|---|---|---|
//! | `max_payload_length` | 16 MiB, inflated | Close 1009; inflating stops there | `closed_payload` |
//! | `max_inflate_ratio`, of messages that become larger than 64 KiB | 1,032 times: all that DEFLATE can do | Close 1009; inflating stops there | `closed_inflation` |
//! | `max_fragments` | 131,072 of one message | Close 1008 | `closed_fragments` |
//! | `max_pings_per_second` | 1,000 | Close 1008 | `closed_pings` |
//! | `idle_timeout` | 120 s; 0: none | after a ping, the end; `close` gets 1006 and a reason | `closed_idle`* |
//! | `backpressure_limit` | 1 MiB | it misses messages; `send` answers [`Dropped`](crate::SendStatus::Dropped) | `dropped_backpressure` |
//! | `close_on_backpressure_limit` | off | a reset when it would miss the first; `close` gets 1006 | `closed_backpressure` |
//! | `close_timeout` without progress, `drain_timeout` in all | 5 s, 120 s | the end, after its or our Close | `closed_unfinished`* |
//! | `max_subscriptions` and `max_topic_length` | 65,536 of one socket, 65,536 bytes | nothing; `subscribe` answers `false`, `try_subscribe` why | `refused_subscriptions` |
//! | `connect_timeout`, of a [`Client`](crate::Client) | 10 s | the end; the handler gets [`TimedOut`](crate::engine::ConnectError::TimedOut) | `connects_timed_out` |
//!
//! A peer that reads a little now and then is not silent: it may hold `backpressure_limit` of what waits for it for as long as it likes,
//! but no more. Where that is too much, set `close_on_backpressure_limit`.
//!
//! Pongs need no limit: behind a stall only the latest ping is answered (RFC 6455, section 5.5.3). A peer that breaks the protocol
//! gets Close 1002 or 1007 with the reason and is counted by [`peer_errors`](crate::Metrics::peer_errors); one that breaks TLS gets
//! its alert and is counted by [`tls_errors`](crate::Metrics::tls_errors). Both are no limits, and are logged at the level debug.
//!
//! # Requests that can be read in two ways
//!
//! What two programs read differently lets one request hide in another. Before HTTP is parsed, a head is looked at, and answered with
//! 400 if it has: a line that ends in LF alone, or a CR that ends none; a header that is continued on the next line (obs-fold); both
//! Content-Length and Transfer-Encoding; a length that is no number, or two that differ; a transfer coding that does not end in one
//! `chunked`, or one in HTTP/1.0 (RFC 9112, sections 2.2, 5.2, 6.1 and 6.3). Chunks are held to the same. After an upgrade that was
//! refused, what follows is not read as a request: the connection ends.
//!
//! # What is bounded without an option
//!
//! | what | bound |
//! |---|---|
//! | early frames, before `fetch` has upgraded | what the kernel holds: the socket is not read further |
//! | memory of a message under way | what has come, doubled as it grows, at most twice the limit and 64 KiB |
//! | a compressed message that has begun | 8 KiB until it gets a decompressor |
//! | posts of other threads to a worker | 65,536, and 64 MiB of payload; then refused: `mail_refused` |
