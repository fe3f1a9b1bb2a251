//! `tidewire connect` as a process: between pipes and on a terminal.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tidewire::server::Running;
use tidewire::tls::{Certificate, Tls};
use tidewire::{Builder, Server, Upgrade};
use tidewire_kit::Folder;
use tidewire_kit::real::wait_until;
use tidewire_kit::tls::Authority;

/// An echo that obeys some words, and tells a handshake's headers to who asks.
fn server() -> Builder<String> {
    Server::builder()
        .per_message_deflate(true)
        .fetch(|req, server| async move {
            let header = |name| req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
            let seen = ["x-one", "x-two", "sec-websocket-protocol", "sec-websocket-extensions"].map(header).join("|");
            server.upgrade(&req, Upgrade::new(seen))
        })
        .message(|ws, message| match &*message.text() {
            "headers" => {
                ws.send(ws.data());
            }
            "close 1011" => ws.close(1011, "my fault").unwrap(),
            "cut off" => ws.terminate(),
            "controls" => {
                ws.send("a\x1b[2Jb");
            }
            _ => {
                ws.send(message);
            }
        })
        .ping(|ws, _| {
            ws.send("a ping came");
        })
        .options(|options| options.backpressure_limit = usize::MAX)
}

fn start(builder: Builder<String>) -> (Running, u16) {
    let server = builder.bind("127.0.0.1:0").unwrap();
    let port = server.port().unwrap();
    (server.start().unwrap(), port)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.arg("connect").args(arguments).env_remove("RUST_LOG").env_remove("NO_COLOR").env_remove("SSL_CERT_FILE");
    command
}

/// Runs it with an input that ends.
fn run(arguments: &[&str], input: impl Into<Vec<u8>>) -> Output {
    let mut child = command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.into());
    // It may end before it has read everything.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn shown(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn lines_go_out_and_come_in_and_nothing_else_is_printed_between_pipes() {
    let (server, port) = start(server());
    let url = format!("ws://127.0.0.1:{port}/");
    let lines = "one\n\ntwo \u{fc}\nlast without an end";
    assert_eq!(shown(&run(&[&url], lines)), (Some(0), format!("{lines}\n"), String::new()));
    // Control characters are a script's own affair.
    assert_eq!(shown(&run(&[&url], "controls\n")).1, "a\x1b[2Jb\n");
    assert_eq!(shown(&run(&["--binary", &url], "00 ff 7F\n\n0a\n")), (Some(0), "00ff7f\n\n0a\n".into(), String::new()));
    let (code, out, error) = shown(&run(&["--binary", &url], "0\n"));
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(error.contains("no whole number of bytes"), "{error}");
    server.stop_within(Duration::ZERO);
}

#[test]
fn much_goes_through_in_order_and_waits_where_it_must() {
    let (server, port) = start(server());
    let lines: String = (0..40_000).map(|i| format!("{i} {}\n", "x".repeat(i % 1000))).collect();
    let output = run(&[&format!("ws://127.0.0.1:{port}/")], lines.clone());
    assert_eq!((output.status.code(), output.stdout == lines.as_bytes()), (Some(0), true));
    server.stop_within(Duration::ZERO);
}

#[test]
fn the_flags_of_the_handshake_reach_the_server() {
    let (server, port) = start(server());
    let url = format!("ws://127.0.0.1:{port}/");
    let flags = ["-H", "X-One: 1", "--header", "x-two:two: 2", "--protocol", "a", "-s", "b", "--compress", &url];
    let (code, out, _) = shown(&run(&flags, "headers\n"));
    assert_eq!(code, Some(0));
    assert!(out.starts_with("1|two: 2|a, b|permessage-deflate"), "{out}");
    assert_eq!(shown(&run(&[&url], "headers\n")).1, "-|-|-|-\n");
    for (flags, problem) in [
        (vec!["-H", "no colon", &url], "no colon"),
        (vec!["--ping", "0", &url], "0"),
        (vec!["--ca", "x", "--insecure", &url], "--insecure"),
        (vec![], "<URL>"),
    ] {
        let (code, out, error) = shown(&run(&flags, ""));
        assert_eq!((code, &*out), (Some(2), ""), "{flags:?}");
        assert!(error.contains(problem), "{error}");
    }
    let (code, _, error) = shown(&run(&["-H", "x: a\rb", &url], ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("control character"), "{error}");
    server.stop_within(Duration::ZERO);
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let (server, port) = start(server());
    let url = format!("ws://127.0.0.1:{port}/");
    assert_eq!(shown(&run(&[&url], "close 1011\n")), (Some(3), String::new(), "tidewire: closed with 1011: my fault\n".into()));
    let (code, _, error) = shown(&run(&[&url], "cut off\n"));
    assert_eq!(code, Some(1));
    assert!(error.starts_with("tidewire: "), "{error}");
    server.stop_within(Duration::ZERO);
    wait_until("the port is free", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    let (code, _, error) = shown(&run(&[&url], ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot connect: 127.0.0.1") && error.contains("refused"), "{error}");
    let (code, _, error) = shown(&run(&["gopher://a/"], ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("gopher"), "{error}");
}

#[test]
fn a_server_of_tls_is_trusted_by_its_authority_or_by_who_does_not_care() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (of_server, of_client) = (authority.certify(&["localhost"]), authority.certify(&["me"]));
    folder.write("ca.pem", authority.cert());
    folder.write("me.pem", of_client.cert);
    folder.write("me.key", of_client.key);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let tls = Tls::new(Certificate::bytes(of_server.cert, of_server.key));
    let tls = tls.ca(authority.cert().into_bytes()).request_cert(true).reject_unauthorized(false);
    let builder = server().open(|ws| {
        ws.send(if ws.tls().unwrap().authorized { "known" } else { "a stranger" });
    });
    let (server, port) = start(builder.tls(tls).unwrap());
    let url = format!("wss://localhost:{port}/");
    let stranger = (Some(0), "a stranger\n".to_owned(), String::new());
    assert_eq!(shown(&run(&["--ca", &file("ca.pem"), &url], "")), stranger);
    assert_eq!(shown(&run(&["-k", &url], "")), stranger);
    let known = shown(&run(&["--ca", &file("ca.pem"), "--cert", &file("me.pem"), "--key", &file("me.key"), &url], ""));
    assert_eq!(known.1, "known\n");
    let (code, out, error) = shown(&run(&[&url], ""));
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(error.contains("the TLS handshake with localhost failed") && error.contains("UnknownIssuer"), "{error}");
    let (code, _, error) = shown(&run(&["--ca", "no such file", &url], ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("no such file"), "{error}");
    server.stop_within(Duration::ZERO);
}

#[test]
fn it_can_stop_after_some_messages_ping_and_go_on_without_input() {
    let (server, port) = start(server());
    let url = format!("ws://127.0.0.1:{port}/");
    assert_eq!(shown(&run(&["-n", "2", &url], "a\nb\nc\nd\n")).1, "a\nb\n");
    // Without input only the ping makes the server speak.
    assert_eq!(
        shown(&run(&["--ping", "1", "--no-close", "-n", "1", &url], "")),
        (Some(0), "a ping came\n".into(), String::new())
    );
    // Ctrl-C closes in order.
    let mut child = command(&["--no-close", &url]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it is connected, and those before have gone", || {
        server.metrics().opened == 3 && server.pending_web_sockets() == 1
    });
    // The handler is there before the connection is, or it would end by the signal.
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(server.metrics().close_codes.get(&1000), Some(&3));
    server.stop_within(Duration::ZERO);
}

/// A terminal: our end, and the one that a process gets.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (File::from(ours), theirs)
}

/// Runs it on a terminal, types these lines, and gives all that is to be seen.
fn on_terminal(url: &str, lines: &str, colours: bool) -> String {
    let (mut ours, theirs) = terminal();
    let mut command = command(&[url]);
    if !colours {
        command.env("NO_COLOR", "1");
    }
    command.env("TERM", "xterm").stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    drop(command);
    ours.write_all(lines.as_bytes()).unwrap();
    let mut reader = ours.try_clone().unwrap();
    let seen = thread::spawn(move || {
        let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
        // A terminal whose other end is gone is an error to read from.
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            all.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8(all).unwrap()
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
    seen.join().unwrap()
}

#[test]
fn on_a_terminal_there_are_marks_and_colours_and_nothing_that_moves_the_cursor() {
    let (server, port) = start(server());
    let url = format!("ws://127.0.0.1:{port}/");
    // Ctrl-D ends the input.
    let seen = on_terminal(&url, "hello\ncontrols\n\x04", true);
    assert!(seen.contains("connected") && seen.contains("closed with 1000"), "{seen:?}");
    assert!(seen.contains("\x1b[32mhello\x1b[0m"), "in colour: {seen:?}");
    assert!(seen.contains("a\\u{1b}[2Jb") && !seen.contains("\x1b[2J"), "{seen:?}");
    let seen = on_terminal(&url, "hello\n\x04", false);
    assert!(seen.contains("< hello") && !seen.contains('\x1b'), "NO_COLOR: {seen:?}");
    server.stop_within(Duration::ZERO);
}
