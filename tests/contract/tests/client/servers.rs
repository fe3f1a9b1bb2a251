//! Servers of other people: npm's `ws`, Bun, Python's `websockets`, and our own; in the clear and through TLS, compressed or not. And
//! a proxy of Node.js.

use std::cell::{Cell, RefCell};
use std::process::Command;
use std::rc::Rc;
use std::sync::LazyLock;

use tidewire::client::{Dial, Proxy, WebSocket};
use tidewire::tls::{Certificate, ClientTls, Connector, Tls};
use tidewire::{Client, Compress, Message, Options, Server, Upgrade};
use tidewire_kit::Folder;
use tidewire_kit::programs::{Program, is_there, npm_package, python_with_websockets};
use tidewire_kit::real::PATIENCE;
use tidewire_kit::tls::{Authority, Certified};
use tokio::time::timeout;

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static LOCALHOST: LazyLock<Certified> = LazyLock::new(|| AUTHORITY.certify_ecdsa(&["localhost"]));
static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| ClientTls::new().ca(AUTHORITY.cert().into_bytes()).build().unwrap());

/// Files of the server's certificate, and of a script.
fn folder(script: &str) -> Folder {
    let folder = Folder::new();
    folder.write("cert.pem", &LOCALHOST.cert);
    folder.write("key.pem", &LOCALHOST.key);
    folder.write("script", script);
    folder
}

const WS: &str = r#"
const [, , ws, cert, key, tls, deflate] = process.argv;
const { WebSocketServer } = require(ws);
const fs = require("fs");
const server = tls === "tls"
  ? require("https").createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })
  : require("http").createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: deflate === "deflate" ? { threshold: 0 } : false, maxPayload: 1 << 26 });
sockets.on("connection", (ws) => ws.on("message", (data, binary) => ws.send(data, { binary })));
server.listen(0, "127.0.0.1", () => console.log("port", server.address().port));
"#;

const BUN: &str = r#"
const [, , , cert, key, tls, deflate] = process.argv;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  tls: tls === "tls" ? { cert: Bun.file(cert), key: Bun.file(key) } : undefined,
  fetch(req, server) { if (!server.upgrade(req)) return new Response("no", { status: 400 }); },
  websocket: { perMessageDeflate: deflate === "deflate", message(ws, message) { ws.send(message, true); } },
});
console.log("port", server.port);
"#;

const PYTHON: &str = r#"
import asyncio, ssl, sys
from websockets.asyncio.server import serve
_, _, cert, key, tls, deflate = sys.argv
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    context = None
    if tls == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    async with serve(echo, "127.0.0.1", 0, ssl=context, compression="deflate" if deflate == "deflate" else None, max_size=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"#;

/// Starts a server of a script for each way to be reached, and talks to it.
fn against(script: &str, command: impl Fn() -> Command, first: &str) {
    let folder = folder(script);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for tls in ["tls", "plain"] {
        for deflate in ["deflate", "none"] {
            let arguments = [&file("script"), first, &file("cert.pem"), &file("key.pem"), tls, deflate].map(str::to_owned);
            let program = Program::start(command().args(arguments));
            let line = program.line_with("port ");
            let scheme = if tls == "tls" { "wss" } else { "ws" };
            let url = format!("{scheme}://localhost:{}/", line.rsplit(' ').next().unwrap());
            converse(&Dial::to(&url).unwrap().tls(&CONNECTOR), deflate == "deflate");
            by_handlers(&url, deflate == "deflate");
        }
    }
}

fn messages() -> Vec<Message<'static>> {
    let mut messages = Vec::new();
    for size in [0, 1, 125, 126, 1000, 65_535, 65_536, 500_000] {
        let text: String = (0..size).map(|i: usize| char::from(b'a' + (i * i % 23) as u8)).collect();
        messages.push(Message::from(text.as_bytes()).into_owned());
        messages.push(Message::from(&*text).into_owned());
    }
    messages
}

/// The async client: every message comes back, and both say goodbye.
fn converse(dial: &Dial, deflate: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let talk = async {
        let dial = dial.clone().per_message_deflate(deflate);
        let opened = WebSocket::open(&dial, &Options::default()).await;
        let mut ws = opened.unwrap_or_else(|error| panic!("{error}: {dial:?}"));
        assert_eq!(ws.answer().extensions().starts_with("permessage-deflate"), deflate, "{dial:?}");
        for message in messages() {
            ws.send(&message).await.unwrap();
            assert_eq!(ws.next().await.unwrap().unwrap(), message);
        }
        ws.close(4000, "goodbye").await.unwrap();
        assert!(matches!(ws.close_reason().unwrap().code, 4000 | 1000 | 1005), "{:?}", ws.close_reason());
    };
    runtime.block_on(async { timeout(PATIENCE, talk).await.expect("it takes too long") });
}

/// The handlers' client, with all messages under way at a time.
fn by_handlers(url: &str, deflate: bool) {
    let (sent, got, closed) = (messages(), Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let (count, log, end) = (sent.len(), got.clone(), closed.clone());
    Client::builder()
        .tls(&CONNECTOR)
        .per_message_deflate(deflate)
        .options(|options| options.backpressure_limit = usize::MAX)
        .open(move |ws| {
            assert_eq!(ws.answer().unwrap().extensions().starts_with("permessage-deflate"), deflate);
            messages().iter().for_each(|message| assert!(!ws.send_with(message, Compress::Yes).is_dropped()));
        })
        .message(move |ws, message| {
            log.borrow_mut().push(message.into_owned());
            if log.borrow().len() == count {
                ws.close(1000, "goodbye").unwrap();
            }
        })
        .error(|_, error| panic!("{error}"))
        .close(move |_, code, _| end.set(code))
        .run(url)
        .unwrap();
    assert!(*got.borrow() == sent, "what came back is not what was sent to {url}");
    assert!(matches!(closed.get(), 1000 | 1005), "{}", closed.get());
}

#[test]
fn the_servers_of_npm_ws() {
    let Some(ws) = npm_package("node", "ws") else { return };
    if is_there("node", &["--version"]) {
        against(WS, || Command::new("node"), ws.to_str().unwrap());
    }
}

#[test]
fn the_servers_of_bun() {
    let package = if cfg!(target_arch = "aarch64") { "@oven/bun-linux-aarch64" } else { "@oven/bun-linux-x64-baseline" };
    let Some(bun) = npm_package("tests/runtimes", package) else { return };
    let bun = bun.join("bin/bun");
    if is_there(bun.to_str().unwrap(), &["--version"]) {
        against(BUN, || Command::new(&bun), "-");
    }
}

#[test]
fn the_servers_of_python() {
    let Some(python) = python_with_websockets() else { return };
    against(PYTHON, || Command::new(&python), "-");
}

fn own(tls: bool, deflate: bool) -> (tidewire::server::Running, String) {
    let builder = Server::builder().per_message_deflate(deflate);
    let certificate = Certificate::bytes(LOCALHOST.cert.clone(), LOCALHOST.key.clone());
    let builder = if tls { builder.tls(Tls::new(certificate)).unwrap() } else { builder };
    let server = builder
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .options(|options| options.backpressure_limit = usize::MAX)
        .message(|ws, message| {
            ws.send_with(message, Compress::Yes);
        })
        .bind("127.0.0.1:0")
        .unwrap();
    let url = format!("{}://localhost:{}/", if tls { "wss" } else { "ws" }, server.port().unwrap());
    (server.start().unwrap(), url)
}

#[test]
fn our_own_servers() {
    for tls in [true, false] {
        for deflate in [true, false] {
            let (server, url) = own(tls, deflate);
            converse(&Dial::to(&url).unwrap().tls(&CONNECTOR), deflate);
            by_handlers(&url, deflate);
            server.stop();
            server.join().unwrap();
        }
    }
}

#[test]
fn what_fails_at_once_is_told_and_the_client_does_not_sleep_on_it() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let error = Rc::new(RefCell::new(String::new()));
        let note = error.clone();
        let client = Client::builder().error(move |_, error| *note.borrow_mut() = error.code().to_owned());
        client.run("ws+unix:/nobody/listens/here").unwrap();
        done.send(error.take()).unwrap();
    });
    assert_eq!(ended.recv_timeout(PATIENCE).expect("it hangs"), "ENOENT");
}

#[test]
fn a_server_on_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.join("a socket");
    let upgrade = || Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) });
    let echo = upgrade().message(|ws, message| {
        ws.send(message);
    });
    let server = echo.options(|options| options.backpressure_limit = usize::MAX).bind(path.clone()).unwrap().start().unwrap();
    let url = format!("ws+unix:{}:/", path.to_str().unwrap().replace(' ', "%20"));
    converse(&Dial::to(&url).unwrap(), false);
    by_handlers(&url, false);
    server.stop();
    server.join().unwrap();
}

const PROXY: &str = r#"
const [, , , cert, key, tls] = process.argv;
const fs = require("fs"), net = require("net");
const proxy = tls === "tls"
  ? require("https").createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })
  : require("http").createServer();
proxy.on("connect", (request, client, head) => {
  client.on("error", () => client.destroy());
  if (request.headers["proxy-authorization"] !== "Basic " + Buffer.from("me:secret").toString("base64")) {
    return client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  }
  const colon = request.url.lastIndexOf(":");
  const server = net.connect(request.url.slice(colon + 1), "127.0.0.1", () => {
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    server.write(head);
    server.pipe(client).pipe(server);
  });
  server.on("error", () => client.destroy());
});
proxy.listen(0, "127.0.0.1", () => console.log("port", proxy.address().port));
"#;

#[test]
fn through_a_proxy_of_node_in_the_clear_and_through_tls_and_tls_in_tls() {
    if !is_there("node", &["--version"]) {
        return;
    }
    let folder = folder(PROXY);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for (kind, scheme) in [("plain", "http"), ("tls", "https")] {
        let arguments = [&file("script"), "-", &file("cert.pem"), &file("key.pem"), kind].map(str::to_owned);
        let program = Program::start(Command::new("node").args(arguments));
        let port = program.line_with("port ").rsplit(' ').next().unwrap().to_owned();
        for secure in [false, true] {
            let (server, url) = own(secure, true);
            let proxy = Proxy::at(&format!("{scheme}://me:secret@localhost:{port}")).unwrap().tls(&CONNECTOR);
            let dial = Dial::to(&url).unwrap().tls(&CONNECTOR).proxy(proxy.clone());
            converse(&dial, true);
            // And the handlers' client.
            let opened = Rc::new(Cell::new(false));
            let open = opened.clone();
            let client = Client::builder().tls(&CONNECTOR).proxy(proxy).message(move |ws, message| {
                assert_eq!(message.len(), 300_000);
                open.set(true);
                ws.close(1000, "").unwrap();
            });
            let payload = vec![5; 300_000];
            client
                .open(move |ws| assert!(!ws.send(&payload).is_dropped()))
                .error(|_, error| panic!("{error}"))
                .run(&url)
                .unwrap();
            assert!(opened.get());
            let stranger = Proxy::at(&format!("{scheme}://localhost:{port}")).unwrap().tls(&CONNECTOR);
            let error = Rc::new(RefCell::new(String::new()));
            let note = error.clone();
            let client = Client::builder().tls(&CONNECTOR).proxy(stranger);
            client.error(move |_, error| *note.borrow_mut() = error.to_string()).run(&url).unwrap();
            assert!(error.borrow().contains("it answered 407"), "{}", error.borrow());
            server.stop();
            server.join().unwrap();
        }
    }
}
