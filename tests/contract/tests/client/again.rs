//! A connection that is opened again when it ends.

use std::net::TcpListener;
use std::time::Duration;

use tidewire::client::{Backoff, Dial, Event, Failure, Reconnecting};
use tidewire::server::Running;
use tidewire::{Server, Upgrade};
use tidewire_kit::real::PATIENCE;
use tokio::time::timeout;

fn serve(port: u16) -> Running {
    Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .message(|ws, message| match &*message.text() {
            "go away" => ws.close(4003, "and stay away").unwrap(),
            "cut" => ws.terminate(),
            _ => {
                ws.send(message);
            }
        })
        .bind(("127.0.0.1", port))
        .unwrap()
        .start()
        .unwrap()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.expect("it takes too long") })
}

fn quick() -> Backoff {
    Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(20), ..Backoff::default() }
}

fn dial(port: u16) -> Dial {
    Dial::to(&format!("ws://127.0.0.1:{port}/")).unwrap()
}

#[test]
fn it_waits_for_a_server_that_is_not_there_yet_comes_back_after_a_loss_and_stays_away_when_told_to() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    run(async {
        let mut feed = Reconnecting::new(dial(port))
            .backoff(quick())
            .give_up_when(|failure| matches!(failure, Failure::Closed(close) if close.code == 4003));
        let (mut attempts, mut server, mut log) = (Vec::new(), None, Vec::new());
        while let Some(event) = feed.next().await {
            match event {
                Event::Connecting(attempt) => attempts.push(attempt),
                Event::Down { failure: Failure::NotOpened(_), retry_in } => {
                    assert!(feed.send("into the void").await.is_err());
                    assert!(retry_in.unwrap() <= Duration::from_millis(20));
                    if attempts.len() == 3 {
                        server = Some(serve(port));
                    }
                }
                Event::Open => {
                    log.push("open".to_owned());
                    feed.send("hello").await.unwrap();
                }
                Event::Message(message) => {
                    log.push(message.to_string());
                    let opens = log.iter().filter(|line| *line == "open").count();
                    feed.send(if opens < 3 { "cut" } else { "go away" }).await.unwrap();
                }
                Event::Down { failure, retry_in } => {
                    log.push(format!("{} {}", retry_in.is_some(), matches!(failure, Failure::Lost(_))))
                }
                other => panic!("{other:?}"),
            }
        }
        // What ended soon counts as a failure in a row.
        assert_eq!(attempts, [1, 2, 3, 4, 5, 6]);
        let round = ["open", "hello", "true true"];
        assert_eq!(log, [&round[..], &round[..], &["open", "hello", "false false"]].concat());
        assert!(feed.next().await.is_none() && feed.socket().is_none());
        server.unwrap().stop_within(Duration::ZERO);
    });
}

#[test]
fn it_gives_up_after_so_many_attempts_and_at_what_is_hopeless() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    run(async {
        let mut feed = Reconnecting::new(dial(port)).backoff(Backoff { attempts: Some(4), ..quick() });
        let (mut attempts, mut last) = (0, None);
        while let Some(event) = feed.next().await {
            match event {
                Event::Connecting(_) => attempts += 1,
                Event::Down { retry_in, .. } => last = Some(retry_in),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((attempts, last), (4, Some(None)));
        let mut feed = Reconnecting::new(dial(port).header("x", "a\r\nb"));
        assert!(matches!(feed.next().await, Some(Event::Connecting(1))));
        assert!(matches!(feed.next().await, Some(Event::Down { failure: Failure::NotOpened(_), retry_in: None })));
        assert!(feed.next().await.is_none());
    });
}

#[test]
fn what_was_open_for_long_begins_anew_and_closing_is_the_end() {
    let server = serve(0);
    let port = server.port().unwrap();
    run(async {
        let backoff = Backoff { stable: Duration::ZERO, attempts: Some(2), ..quick() };
        let mut feed = Reconnecting::new(dial(port)).backoff(backoff);
        for _ in 0..5 {
            assert!(matches!(feed.next().await, Some(Event::Connecting(1 | 2))));
            assert!(matches!(feed.next().await, Some(Event::Open)));
            feed.send("cut").await.unwrap();
            assert!(matches!(feed.next().await, Some(Event::Down { retry_in: Some(_), .. })));
        }
        feed.next().await;
        assert!(matches!(feed.next().await, Some(Event::Open)));
        feed.close(1000, "done").await.unwrap();
        assert!(feed.next().await.is_none());
    });
    assert_eq!(server.metrics().close_codes.get(&1000), Some(&1));
    server.stop_within(Duration::ZERO);
}
