//! `tidewire bench` as a process, against servers of ours that do what they should, and some that do not.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tidewire::server::Running;
use tidewire::tls::{Certificate, Tls};
use tidewire::{Builder, Compress, Server, Upgrade};
use tidewire_kit::Folder;
use tidewire_kit::tls::Authority;

/// So many messages without a warm-up; the time is a bound that no machine reaches.
const COUNTED: [&str; 6] = ["--warmup", "0", "--duration", "60", "--messages", "500"];

/// A server in this process.
struct Site {
    server: Running,
    port: u16,
    secure: bool,
}

impl Site {
    fn new(builder: Builder<()>) -> Self {
        Self::start(builder, false)
    }

    fn start(builder: Builder<()>, secure: bool) -> Self {
        let server = builder.bind("127.0.0.1:0").unwrap();
        let port = server.port().unwrap();
        Self { server: server.start().unwrap(), port, secure }
    }

    fn secure(builder: Builder<()>, authority: &Authority) -> Self {
        let certified = authority.certify(&["localhost"]);
        let tls = Tls::new(Certificate::bytes(certified.cert, certified.key));
        Self::start(builder.tls(tls).unwrap(), true)
    }

    fn url(&self) -> String {
        match self.secure {
            true => format!("wss://localhost:{}/", self.port),
            false => format!("ws://127.0.0.1:{}/", self.port),
        }
    }

    /// The report of a load that succeeds.
    fn report(&self, load: &str, flags: &[&str]) -> Value {
        let pid = std::process::id().to_string();
        let (code, out, error) = run(&[&[load, &self.url(), "--json", "--pid", &pid], flags].concat());
        assert_eq!((code, &*error), (Some(0), ""), "{out}");
        assert_eq!(out.lines().count(), 1, "{out}");
        serde_json::from_str(&out).unwrap()
    }

    /// What is said about a load that fails.
    fn failure(&self, load: &str, flags: &[&str]) -> String {
        let (code, out, error) = run(&[&[load, &self.url()], flags].concat());
        assert_eq!((code, &*out), (Some(1), ""), "{error}");
        assert!(error.starts_with("tidewire: ") && error.lines().count() == 1, "{error}");
        error
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.stop_within(Duration::ZERO);
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    let output = command.arg("bench").args(arguments).env_remove("RUST_LOG").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn upgrading() -> Builder<()> {
    Server::builder().per_message_deflate(true).fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
}

fn echo() -> Builder<()> {
    upgrading().message(|ws, message| {
        ws.send_with(message, Compress::Yes);
    })
}

fn room() -> Builder<()> {
    upgrading()
        .open(|ws| {
            ws.subscribe("room");
            ws.server().publish("room", "somebody has come");
        })
        .message(|ws, message| {
            ws.server().publish_with("room", format!("somebody: {}", message.text()), Compress::Yes);
        })
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} of {report}"))
}

/// What every report of messages has.
fn check_messages(report: &Value, connections: u64, receivers: f64) {
    assert_eq!(report["connections"], connections, "{report}");
    assert!(number(report, "/messages") >= 500.0, "{report}");
    assert!(number(report, "/messages_per_second") > 0.0, "{report}");
    let deliveries = number(report, "/deliveries") / receivers;
    assert!((number(report, "/messages")..number(report, "/messages") + 1.0).contains(&deliveries), "{report}");
    let ranks = ["min", "p50", "p90", "p99", "p99_9", "max"].map(|rank| number(report, &format!("/latency_us/{rank}")));
    assert!(ranks[0] > 0.0 && ranks.is_sorted(), "{report}");
    assert_eq!(report["server"]["pid"], std::process::id(), "{report}");
    assert!(number(report, "/server/resident_bytes") > 0.0, "{report}");
    // The kernel counts the time of what runs when its clock ticks: 500 messages may be over before.
    for field in ["cpu_us_per_message", "cpu_us_per_delivery", "busy"] {
        assert!(number(report, &format!("/server/{field}")) >= 0.0, "{report}");
    }
}

#[test]
fn an_echo_is_checked_and_counted_in_all_its_forms() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", authority.cert());
    let ca = ca.to_str().unwrap();
    for (flags, size, kind) in [
        (&["--connections", "7"][..], 20, "text"),
        (&["-c", "7", "--size", "0"], 0, "text"),
        (&["-c", "7", "--size", "125", "--depth", "16"], 125, "text"),
        (&["-c", "7", "--size", "70000", "--payload", "binary", "--depth", "2"], 70_000, "binary"),
        (&["-c", "7", "--size", "300", "--payload", "json", "--rate", "20000"], 300, "json"),
    ] {
        for (site, trust) in [
            (Site::new(echo()), &[][..]),
            (Site::secure(echo(), &authority), &["--ca", ca]),
            (Site::secure(echo(), &authority), &["--insecure"]),
        ] {
            let report = site.report("echo", &[flags, trust, &COUNTED].concat());
            check_messages(&report, 7, 1.0);
            assert_eq!((&report["size"], &report["payload"], &report["load"]), (&size.into(), &kind.into(), &"echo".into()));
            assert_eq!((&report["answer"]["bytes"], &report["answer"]["compressed"]), (&size.into(), &false.into()));
            let since = if flags.contains(&"--rate") { "due" } else { "sent" };
            assert_eq!(report["latency_us"]["since"], since);
        }
    }
}

#[test]
fn a_room_is_counted_by_message_and_by_delivery() {
    let authority = Authority::new();
    for (load, flags) in [
        ("chat", &["--burst", "160"][..]),
        ("chat", &["--rate", "5000"]),
        ("fanout", &["--depth", "4"]),
        ("fanout", &["--rate", "5000"]),
    ] {
        for site in [Site::new(room()), Site::secure(room(), &authority)] {
            let report = site.report(load, &[&["-c", "16", "-k"], flags, &COUNTED].concat());
            check_messages(&report, 16, 16.0);
            assert_eq!(report["answer"]["bytes"], 30, "{report}");
            if flags[0] == "--burst" {
                // Whole bursts, each of ten messages from everybody.
                assert_eq!((number(&report, "/messages") % 160.0, &report["in_flight"]), (0.0, &10.into()), "{report}");
            }
        }
    }
}

#[test]
fn messages_are_compressed_in_both_directions() {
    let flags = ["-c", "5", "--size", "1024", "--payload", "json", "--compress"];
    for (load, site) in [("echo", Site::new(echo())), ("chat", Site::new(room())), ("fanout", Site::new(room()))] {
        let report = site.report(load, &[&flags, &COUNTED[..]].concat());
        check_messages(&report, 5, if load == "echo" { 1.0 } else { 5.0 });
        assert_eq!((&report["compress"], &report["answer"]["compressed"]), (&true.into(), &true.into()), "{report}");
        assert!(number(&report, "/answer/wire_bytes") < 700.0 && number(&report, "/answer/bytes") >= 1024.0, "{report}");
    }
    let plain = Site::new(echo().per_message_deflate(false));
    for load in ["echo", "chat", "fanout", "connect", "idle"] {
        assert!(plain.failure(load, &["--compress"]).contains("did not agree to compression"));
    }
}

#[test]
fn handshakes_are_counted() {
    let authority = Authority::new();
    for (site, flags) in [
        (Site::new(echo()), &["--compress"][..]),
        (Site::new(echo()), &["--rate", "5000"]),
        (Site::secure(echo(), &authority), &["-k"]),
    ] {
        let report = site.report("connect", &[&["-c", "8"], flags, &COUNTED].concat());
        assert!(number(&report, "/messages") >= 500.0 && number(&report, "/latency_us/p50") > 0.0, "{report}");
        assert!(number(&report, "/server/cpu_us_per_message") > 0.0, "{report}");
        assert!(site.server.metrics().opened >= 500);
    }
}

#[test]
fn idle_connections_are_weighed_and_given_back() {
    let authority = Authority::new();
    for (site, flags) in
        [(Site::new(echo()), &[][..]), (Site::new(echo()), &["--compress"]), (Site::secure(echo(), &authority), &["-k"])]
    {
        let report = site.report("idle", &[&["-c", "300"], flags].concat());
        assert_eq!((&report["connections"], &report["load"]), (&300.into(), &"idle".into()), "{report}");
        for field in ["resident_before", "resident_full", "resident_after"] {
            assert!(number(&report, &format!("/memory/{field}")) > 0.0, "{report}");
        }
        for field in ["bytes_per_connection", "bytes_kept_per_connection"] {
            assert!(number(&report, &format!("/memory/{field}")) >= 0.0, "{report}");
        }
        assert_eq!(site.server.metrics().opened, 364, "and 64 that are not weighed");
        assert_eq!(site.server.metrics().close_codes.get(&1000), Some(&364), "in good order");
    }
}

#[test]
fn people_get_lines_and_no_bar_between_pipes() {
    let site = Site::new(echo());
    let url = site.url();
    let (code, out, error) = run(&[&["echo", &url], &COUNTED[..]].concat());
    assert_eq!((code, &*error), (Some(0), ""));
    for said in ["32 connections, 20 B of text, 1 in flight", "  messages   ", "latency    p50", "% of a core"] {
        assert!(out.contains(said), "{said} is missing: {out}");
    }
    assert!(!out.contains("server "), "nobody said which process: {out}");
    let (code, out, error) = run(&["idle", &url, "-c", "3"]);
    assert_eq!((code, &*error), (Some(0), ""));
    assert!(out.contains("With --pid"), "{out}");
}

#[test]
fn who_waits_for_a_slow_server_is_counted_since_it_was_due() {
    const STALL: Duration = Duration::from_millis(600);
    let seen = Arc::new(AtomicUsize::new(0));
    let site = Site::new(upgrading().message(move |ws, message| {
        // One is the probe of each connection.
        if seen.fetch_add(1, Ordering::Relaxed) == 50 {
            thread::sleep(STALL);
        }
        ws.send(message);
    }));
    let flags = ["-c", "1", "--rate", "500", "--warmup", "0", "--duration", "60", "--messages", "400"];
    let report = site.report("echo", &flags);
    // Of 400 messages 300 are due while the server sleeps: a load that waits for it would have sent one of them.
    assert!(number(&report, "/latency_us/max") >= 500_000.0 && number(&report, "/latency_us/p50") >= 50_000.0, "{report}");
}

#[test]
fn greetings_are_passed_over_and_pings_answered() {
    let pongs = Arc::new(AtomicUsize::new(0));
    let counted = pongs.clone();
    let builder = upgrading()
        .open(|ws| {
            ws.send("welcome");
        })
        .message(|ws, message| {
            ws.ping(b"are you there?").unwrap();
            ws.send(message);
        })
        .pong(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    let report = Site::new(builder).report("echo", &[&["-c", "5", "--depth", "3"], &COUNTED[..]].concat());
    check_messages(&report, 5, 1.0);
    assert!(pongs.load(Ordering::Relaxed) >= 400, "{pongs:?}");
}

#[test]
fn headers_and_subprotocols_reach_the_server() {
    let site = Site::new(echo().fetch(|req, server| async move {
        let has = |name: &str, value: &str| req.headers().get(name).is_some_and(|found| found == value);
        let known = has("x-key", "secret") && has("sec-websocket-protocol", "a, b");
        known.then(|| server.upgrade(&req, Upgrade::new(()))).ok_or((http::StatusCode::FORBIDDEN, "who are you?"))
    }));
    site.report("echo", &[&["-H", "X-Key: secret", "-s", "a", "-s", "b"], &COUNTED[..]].concat());
    assert!(site.failure("echo", &[]).contains("403 Forbidden") && site.failure("connect", &[]).contains("--header"));
    assert!(site.failure("echo", &["-H", "a b: c"]).contains("is no header"));
}

#[test]
fn a_server_that_is_not_there_or_not_one_is_told() {
    let (port, secure) = (free_port(), Site::secure(echo(), &Authority::new()));
    for load in ["echo", "chat", "fanout", "connect", "idle"] {
        let (code, _, error) = run(&[load, &format!("ws://127.0.0.1:{port}/")]);
        assert_eq!(code, Some(1));
        assert!(error.contains(&format!("nothing listens at 127.0.0.1:{port}")), "{load}: {error}");
    }
    let plain = Site::new(echo());
    let (_, _, error) = run(&["echo", &plain.url().replace("ws:", "wss:")]);
    assert!(error.contains("try ws:// instead"), "{error}");
    assert!(secure.failure("echo", &[]).contains("UnknownIssuer"));
    let refusing = Site::new(upgrading().fetch(|_, _| async { (http::StatusCode::NOT_FOUND, "nothing here") }));
    assert!(refusing.failure("echo", &[]).contains("404 Not Found\": check the path"));
    let (code, _, error) = run(&["echo", &plain.url(), "--pid", "4294967295"]);
    assert!(code == Some(1) && error.contains("process 4294967295 cannot be measured"), "{error}");
    assert!(plain.failure("idle", &["-c", "1000000000"]).contains("descriptors"));
    assert!(plain.failure("echo", &["-c", "0"]).contains("at least one connection"));
    assert!(plain.failure("echo", &["--rate", "0"]).contains("no rate"));
}

/// A port on which nothing listens.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_server_that_does_not_echo_is_told_with_what_it_says() {
    let site = Site::new(upgrading().message(|ws, _| {
        ws.send("no");
    }));
    let error = site.failure("echo", &["-c", "3"]);
    assert!(error.contains("does not send messages back: 0 of 3 connections") && error.contains("only \"no\""), "{error}");
    let others = Site::new(
        upgrading()
            .open(|ws| {
                ws.subscribe("room");
            })
            .message(|ws, message| {
                ws.publish("room", message);
            }),
    );
    let error = others.failure("fanout", &["-c", "3"]);
    assert!(error.contains("2 of 3 connections got theirs, this one nothing"), "{error}");
}

#[test]
fn a_server_that_refuses_more_or_gives_up_is_told_with_how_far_it_came() {
    // More than are under way at a time, so some are open by then.
    let few = Site::new(echo().max_connections(200));
    let error = few.failure("echo", &["-c", "300"]);
    assert!(error.contains("closed it during the handshake") && error.contains(" of 300 connections were open)"), "{error}");
    let seen = Arc::new(AtomicUsize::new(0));
    let tired = Site::new(upgrading().message(move |ws, message| match seen.fetch_add(1, Ordering::Relaxed) {
        100 => ws.close(1011, "tired").unwrap(),
        _ => {
            ws.send(message);
        }
    }));
    let error = tired.failure("echo", &["-c", "1"]);
    assert!(error.contains("connection 0: the server closed it with 1011: tired"), "{error}");
    let seen = Arc::new(AtomicUsize::new(0));
    let wrong = Site::new(upgrading().message(move |ws, message| {
        match seen.fetch_add(1, Ordering::Relaxed) {
            100 => ws.send("something else, of 20"),
            _ => ws.send(message),
        };
    }));
    let error = wrong.failure("echo", &["-c", "1"]);
    assert!(error.contains("an answer differs from those before"), "{error}");
}
