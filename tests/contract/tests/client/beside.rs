//! A client beside a server, on its worker.

use tidewire::sys::ListenOptions;
use tidewire::{Client, Server, Upgrade};
use tidewire_kit::sim::{Faults, Network};

use super::{LIMIT, Told, anywhere, is_over, noting, turn};

/// One that panics in the handler of this name.
fn panicking(which: &'static str) -> Client {
    let at = move |name: &str| assert!(name != which, "in {name}");
    Client::builder()
        .open(move |ws| {
            at("open");
            ws.ping(b"").unwrap();
            ws.send("hello");
        })
        .message(move |_, _| at("message"))
        .pong(move |_, _| at("pong"))
        .close(move |_, _, _| at("close"))
        .error(move |_, _| at("error"))
}

#[test]
fn a_clients_handler_that_panics_ends_its_own_socket_and_nobody_elses() {
    // With the code that the other server counts: an application's own is among the others, as 0.
    let cases = [("open", Some(1011)), ("message", Some(1011)), ("pong", Some(1011)), ("close", Some(0)), ("error", None)];
    for (which, code) in cases {
        let network = Network::new(1, Faults::none());
        // Whom it connects to, on a worker of its own.
        let (feed, mut workers) = Server::builder()
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
            .message(move |ws, message| {
                ws.send(message);
                if which == "close" {
                    ws.close(4000, "enough").unwrap();
                }
            })
            .embed(vec![Box::new(network.io())]);
        let endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();
        // The server that it is beside.
        let (server, own) = Server::builder()
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
            .message(|ws, message| {
                ws.send(message);
            })
            .embed(vec![Box::new(network.io())]);
        workers.extend(own);
        let home = workers[1].listen(&anywhere(), &ListenOptions::default()).unwrap();
        let to = if which == "error" { home.clone() } else { endpoint };
        let url = if which == "error" { "wss://a/" } else { "ws://a/" };
        panicking(which).at([to]).connect(&workers[1].handle(), url).unwrap();
        assert!(network.run(LIMIT, || {
            turn(&mut workers);
            server.metrics().panics == 1 && workers[1].population().0 == 0
        }));
        assert_eq!(feed.metrics().close_codes.into_keys().collect::<Vec<_>>(), Vec::from_iter(code), "{which}");
        // The worker goes on.
        let told = Told::default();
        workers.push(
            noting(&told)
                .open(|ws| {
                    ws.send("still there?");
                })
                .message(move |ws, _| ws.close(1000, "").unwrap())
                .at([home])
                .embed(Box::new(network.io()), "ws://a/")
                .unwrap(),
        );
        assert!(network.run(LIMIT, || {
            turn(&mut workers);
            is_over(&told)
        }));
        assert_eq!(*told.borrow(), ["close 1000"], "{which}");
    }
}
