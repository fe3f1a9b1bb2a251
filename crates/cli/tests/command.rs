//! The `tidewire` command as a process: what it prints, serves, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tidewire_kit::Folder;
use tidewire_kit::client::{Message, Upgrade};
use tidewire_kit::real::{Client, Connection, request, wait_until};
use tidewire_kit::tls::{Authority, Certified, Terms, Tls};

/// A server that is ended with its test.
struct Process {
    child: Child,
    line: String,
    address: SocketAddr,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let authority = line.trim_end().rsplit("://").next().unwrap().trim_end_matches('/').replace("localhost", "127.0.0.1");
        let address = authority.parse().unwrap_or_else(|_| panic!("no address in {line:?}"));
        Self { child, line, address }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("NO_COLOR").env_remove("TIDEWIRE_PORT");
    command
}

/// Files of certificates of an authority: of each name NAME.pem and NAME.key.
fn certified(authority: &Authority, names: &[&str]) -> Folder {
    let folder = Folder::new();
    for name in names {
        let Certified { cert, key } = authority.certify(&[name]);
        folder.write(&format!("{name}.pem"), cert);
        folder.write(&format!("{name}.key"), key);
    }
    folder
}

#[test]
fn certificates_make_it_secure_and_are_chosen_by_name() {
    let authority = Authority::new();
    let folder = certified(&authority, &["a.example", "b.example"]);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let files = ["a.example.pem", "a.example.key", "b.example.pem", "b.example.key"].map(file);
    for program in ["echo", "chat"] {
        let flags = [program, "--host", "127.0.0.1", "--port", "0", "--cert", &files[0], "--key", &files[1]];
        let server = Process::start(&[&flags[..], &["--cert", &files[2], "--key", &files[3]]].concat());
        assert_eq!(server.line, format!("tidewire {program} is listening on https://{}/\n", server.address));
        for name in ["a.example", "b.example"] {
            let wire = Tls::new(Connection::tcp(server.address).unwrap(), &Terms::trust(&authority), name);
            let mut client = tidewire_kit::client::Client::open(wire, &Upgrade::to("/chat?name=Ada"));
            client.send_text("hello");
            let last = if program == "echo" { "hello" } else { "Ada: hello" };
            wait_until("the answer", || {
                client.step();
                client.messages().last() == Some(&text(last))
            });
        }
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_and_so_is_a_missing_key() {
    let folder = certified(&Authority::new(), &["a.example", "b.example"]);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let pair = |cert: &str, key: &str| vec!["--cert".to_owned(), file(cert), "--key".to_owned(), file(key)];
    for (flags, said) in [
        (pair("none.pem", "a.example.key"), "none.pem"),
        (pair("a.example.pem", "b.example.key"), "not the key of the certificate"),
        (vec!["--cert".to_owned(), file("a.example.pem")], "--key"),
        ([pair("a", "b"), vec!["--cert".to_owned(), "c".to_owned()]].concat(), "every --cert needs its --key"),
    ] {
        let arguments: Vec<_> = ["echo", "--port", "0"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        let output = command(&arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(said), "{stderr}");
    }
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

#[test]
fn echo_says_where_it_listens_and_echoes_text_and_binary() {
    for workers in ["1", "4"] {
        let server = Process::start(&["echo", "--host", "127.0.0.1", "--port", "0", "--workers", workers]);
        assert_eq!(server.line, format!("tidewire echo is listening on http://{}/\n", server.address));
        let mut client = Client::connect(server.address);
        client.send_text("hello");
        client.send_binary(&[0, 255]);
        assert_eq!(client.next_messages(2), [text("hello"), Message::Binary(vec![0, 255])]);
    }
}

#[test]
fn what_is_compressed_and_by_whom_is_said_with_one_flag() {
    let alone = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let small = "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10";
    for (flag, answer) in [
        (&[][..], None),
        (&["--compress"], Some(alone)),
        (&["--compress=shared"], Some(alone)),
        (&["--compress=dedicated"], Some("permessage-deflate")),
        (&["--compress=8KB"], Some(small)),
    ] {
        let server = Process::start(&[&["echo", "--host", "127.0.0.1", "--port", "0"], flag].concat());
        let mut client = Client::connect_with(server.address, &Upgrade::to("/").deflate("; client_max_window_bits"));
        assert_eq!(client.response().unwrap().header("sec-websocket-extensions"), answer, "{flag:?}");
        let long = "all the same ".repeat(100);
        client.send_text(&long);
        assert_eq!(client.next_message(), text(&long));
    }
    let output = command(&["echo", "--port", "0", "--compress=lots"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("\"lots\" is no compressor"), "{error}");
}

#[test]
fn chat_serves_its_page_and_its_room_at_any_path() {
    for workers in ["1", "4"] {
        let server = Process::start(&["chat", "--host", "127.0.0.1", "--port", "0", "--workers", workers]);
        let page = request(server.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.text().contains("<title>"), "{}", page.text());
        assert_eq!(request(server.address, b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 404);
        assert_eq!(request(server.address, b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 405);

        let mut ada = Client::connect_with(server.address, &Upgrade::to("/chat?name=Ada%20L."));
        assert_eq!(ada.next_message(), text("Ada L. has entered the chat"));
        let mut bob = Client::connect_with(server.address, &Upgrade::to("/anywhere?name=Bob"));
        assert_eq!(bob.next_message(), text("Bob has entered the chat"));
        assert_eq!(ada.next_message(), text("Bob has entered the chat"));
        ada.send_text("hello");
        assert_eq!((ada.next_message(), bob.next_message()), (text("Ada L.: hello"), text("Ada L.: hello")));
        bob.close(1000, "");
        assert_eq!(ada.next_message(), text("Bob has left the chat"));
    }
}

#[test]
fn a_quiet_chat_tells_nobody_who_comes_and_goes() {
    let server = Process::start(&["chat", "--quiet", "--host", "127.0.0.1", "--port", "0"]);
    let mut ada = Client::connect_with(server.address, &Upgrade::to("/chat?name=Ada"));
    let mut bob = Client::connect_with(server.address, &Upgrade::to("/chat?name=Bob"));
    bob.send_text("hello");
    assert_eq!((ada.next_message(), bob.next_message()), (text("Bob: hello"), text("Bob: hello")));
    bob.close(1000, "");
    bob.wait_ended();
    ada.send_text("alone");
    assert_eq!(ada.next_message(), text("Ada: alone"));
}

#[test]
fn signals_close_the_sockets_with_1001_and_end_the_process() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut server = Process::start(&["chat", "--host", "127.0.0.1", "--port", "0", "--workers", "2"]);
        let mut clients: Vec<_> = (0..5).map(|_| Client::connect(server.address)).collect();
        server.signal(signal);
        for client in &mut clients {
            assert_eq!(client.wait_ended().and_then(|close| close.code), Some(1001));
        }
        assert!(server.child.wait().unwrap().success());
    }
}

#[test]
fn a_taken_port_is_a_clear_error_also_for_several_workers() {
    let server = Process::start(&["echo", "--host", "127.0.0.1", "--port", "0", "--workers", "2"]);
    let port = server.address.port().to_string();
    for workers in ["1", "2"] {
        let output = command(&["chat", "--host", "127.0.0.1", "--port", &port, "--workers", workers]).output().unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("127.0.0.1:{port}")) && error.contains("something listens there already"), "{error}");
    }
}

#[test]
fn the_log_follows_rust_log_and_has_no_colours_where_nobody_sees_them() {
    let mut child = command(&["echo", "--host", "127.0.0.1", "--port", "0"])
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(log.contains("closing all sockets"), "{log}");
    assert!(!log.contains('\x1b') && !line.contains('\x1b'), "{log}{line}");
}

#[test]
fn a_silent_socket_is_closed_after_the_idle_timeout_that_was_asked_for() {
    let server = Process::start(&["echo", "--host", "127.0.0.1", "--port", "0", "--idle-timeout", "1"]);
    let mut client = Client::connect(server.address);
    client.answer_nothing();
    client.wait_until("the end of a silent connection", |client| client.ended().is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn a_silent_secure_socket_is_resident_with_less_than_8_kib() {
    const WARM: usize = 100;
    // So many that the steps in which an allocator grows are small beside them.
    const MANY: usize = 2000;
    let authority = Authority::new();
    let folder = certified(&authority, &["a.example"]);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("a.example.pem"), file("a.example.key"));
    let server = Process::start(&["echo", "--host", "127.0.0.1", "--port", "0", "--cert", &cert, "--key", &key]);
    let terms = Terms::trust(&authority);
    let open = |_| {
        let wire = Tls::new(Connection::tcp(server.address).unwrap(), &terms, "a.example");
        let mut client = tidewire_kit::client::Client::open(wire, &Upgrade::to("/"));
        client.send_text("hello");
        wait_until("the echo", || {
            client.step();
            !client.messages().is_empty()
        });
        client
    };
    // What is allocated once is not counted.
    let warm: Vec<_> = (0..WARM).map(open).collect();
    let before = tidewire_kit::process::resident_bytes_of(server.child.id()).unwrap();
    let many: Vec<_> = (0..MANY).map(open).collect();
    let each = tidewire_kit::process::resident_bytes_of(server.child.id()).unwrap().saturating_sub(before) / MANY as u64;
    assert!(each < 8 * 1024, "{each} bytes for each connection");
    drop((warm, many));
}

/// What `tidewire doctor` prints, as words of each line, and whether it is content.
fn doctor(mut command: Command) -> (Vec<String>, bool) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (text.lines().map(words).collect(), output.status.success())
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_so_in_its_exit_code() {
    let (lines, content) = doctor(command(&["doctor"]));
    let problems = lines.iter().filter(|line| line.starts_with("problem ")).count();
    assert_eq!(content, problems == 0, "{lines:#?}");
    for subject in ["tidewire 0.", "kernel Linux", "I/O ", "io_uring ", "descriptors ", "TLS "] {
        assert!(lines.iter().any(|line| line.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(subject))), "{subject}");
    }

    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -n 256; exec {} doctor", env!("CARGO_BIN_EXE_tidewire")));
    let (lines, content) = doctor(limited);
    assert!(!content);
    assert!(lines.iter().any(|line| line.starts_with("problem descriptors 256")), "{lines:#?}");

    let mut wrong = command(&["doctor"]);
    wrong.env("TIDEWIRE_IO", "poll");
    let (lines, content) = doctor(wrong);
    assert!(!content);
    let expected = "problem I/O TIDEWIRE_IO is \"poll\"; it may be auto, readiness or uring";
    assert!(lines.iter().any(|line| line == expected), "{lines:#?}");

    let mut lost = command(&["doctor"]);
    lost.env("SSL_CERT_FILE", "/nowhere.pem");
    let (lines, content) = doctor(lost);
    assert!(!content);
    assert!(lines.iter().any(|line| line.starts_with("problem authorities SSL_CERT_FILE")), "{lines:#?}");
}

#[test]
fn a_way_to_the_kernel_that_does_not_exist_is_a_clear_error() {
    let output = command(&["echo", "--host", "127.0.0.1", "--port", "0"]).env("TIDEWIRE_IO", "fast").output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("TIDEWIRE_IO is \"fast\"; it may be auto, readiness or uring"), "{error}");
}
