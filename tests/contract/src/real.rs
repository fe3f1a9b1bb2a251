//! A server on real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tidewire::Builder;
use tidewire::server::Running;

/// Runs a test against a server with one worker and with four, each on a thread of its own, and stops it.
///
/// # Panics
/// When the server cannot run, or an open had no close, or a connection is not closed.
pub fn with_workers<T: 'static>(build: impl Fn() -> Builder<T>, test: impl Fn(SocketAddr, &Running)) {
    for workers in [1, 4] {
        let bound = build().workers(workers).bind("127.0.0.1:0").expect("a port is free");
        let server = bound.start().expect("it was not started before");
        test(([127, 0, 0, 1], server.port().expect("it listens on TCP")).into(), &server);
        server.stop_within(Duration::ZERO);
        server.join().expect("no worker failed");
        let metrics = bound.metrics();
        assert_eq!((metrics.opened, metrics.accepted), (metrics.ended, metrics.closed), "with {workers} workers: {metrics:?}");
    }
}
