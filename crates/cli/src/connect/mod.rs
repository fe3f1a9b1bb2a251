//! `tidewire connect URL`: a WebSocket on the terminal, or between pipes. Lines go out as messages, messages come in as lines.

mod input;
mod output;

use std::error::Error;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use clap::Args;
use futures_core::Stream;
use futures_sink::Sink;
use tidewire::client::{Dial, Proxy, WebSocket, WebSocketError};
use tidewire::tls::{Certificate, ClientTls};
use tidewire::{Message, Options};
use tokio::sync::mpsc;
use tokio::time::{Interval, interval};

use input::Input;
use output::Output;

/// The server closed with a code that says that something is wrong.
const CLOSED_WITH_ERROR: u8 = 3;

/// Flags of `tidewire connect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Text is printed as it is and binary as hexadecimal digits, one line for each message. When the input ends, the connection is \
closed, after what the server still had to say.

Exit codes: 0 closed with 1000, 1001 or no code; 1 not connected, or lost; 2 wrong usage; 3 closed with another code.")]
pub struct Flags {
    /// ws://HOST[:PORT]/PATH, wss://..., or ws+unix:/PATH/OF/SOCKET:/PATH
    url: String,
    /// Add a header to the handshake; again for more
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Offer a subprotocol, the best first; the server must choose one
    #[arg(short = 's', long, value_name = "NAME")]
    protocol: Vec<String>,
    /// Compress messages, where the server can (permessage-deflate)
    #[arg(long)]
    compress: bool,
    /// Every line of the input is hexadecimal digits, to be sent as a binary message
    #[arg(short, long)]
    binary: bool,
    /// Do not verify the server's certificate: whoever is in between can read and change everything
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust servers of this authority (PEM or DER) instead of the system's; again for more
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Vec<PathBuf>,
    /// Show the server this certificate, in PEM or DER
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Connect through an HTTP proxy: http://[USER:PASSWORD@]HOST:PORT, or https://
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Send a ping every S seconds
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    ping: Option<u64>,
    /// Seconds until the connection must be open
    #[arg(long, value_name = "S", default_value_t = 10)]
    connect_timeout: u64,
    /// Close after so many messages have come
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Go on receiving when the input has ended, until the server closes or Ctrl-C
    #[arg(long)]
    no_close: bool,
}

/// A header as a flag gives it.
pub fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("{text:?} has no colon; write NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Connects, and goes on until the connection has ended.
pub fn run(flags: &Flags) -> Result<ExitCode, Box<dyn Error>> {
    let dial = dial(flags)?;
    let options = Options { connect_timeout: Duration::from_secs(flags.connect_timeout), ..Options::default() };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let ws = WebSocket::open(&dial, &options).await?;
        Session::new(ws, flags)?.run().await
    })
}

fn dial(flags: &Flags) -> Result<Dial, Box<dyn Error>> {
    let mut tls = ClientTls::new().insecure(flags.insecure);
    for ca in &flags.ca {
        tls = tls.ca(ca.clone());
    }
    if let (Some(cert), Some(key)) = (&flags.cert, &flags.key) {
        tls = tls.certificate(Certificate::files(cert, key));
    }
    let connector = tls.build()?;
    let mut dial = Dial::to(&flags.url)?.tls(&connector).per_message_deflate(flags.compress);
    for (name, value) in &flags.header {
        dial = dial.header(name, value);
    }
    for protocol in &flags.protocol {
        dial = dial.protocol(protocol);
    }
    if let Some(proxy) = &flags.proxy {
        dial = dial.proxy(Proxy::at(proxy)?.tls(&connector));
    }
    Ok(dial)
}

/// What happens next.
enum Step {
    Message(Option<Result<Message<'static>, WebSocketError>>),
    Input(Input),
    Ping,
}

struct Session<'a> {
    ws: WebSocket,
    flags: &'a Flags,
    input: mpsc::Receiver<Input>,
    /// Whether the input may bring more: it is asked only while the socket can take it.
    reading: bool,
    pings: Option<Interval>,
    output: Output,
    received: u64,
}

impl<'a> Session<'a> {
    fn new(ws: WebSocket, flags: &'a Flags) -> std::io::Result<Self> {
        let output = Output::new();
        output.connected(ws.answer());
        let pings = flags.ping.map(|seconds| interval(Duration::from_secs(seconds)));
        Ok(Self { ws, flags, input: input::read()?, reading: true, pings, output, received: 0 })
    }

    async fn run(mut self) -> Result<ExitCode, Box<dyn Error>> {
        loop {
            match std::future::poll_fn(|cx| self.poll_step(cx)).await {
                Step::Message(None) => return Ok(self.ended()),
                Step::Message(Some(message)) => {
                    self.output.message(&message?)?;
                    self.received += 1;
                    if self.flags.count.is_some_and(|count| self.received >= count) {
                        self.ws.close(1000, "").await?;
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Step::Input(Input::Line(line)) => self.send(line)?,
                Step::Input(Input::End) => {
                    self.reading = false;
                    if !self.flags.no_close {
                        self.close();
                    }
                }
                Step::Input(Input::Interrupt) => self.close(),
                Step::Input(Input::Failed(error)) => return Err(format!("the input cannot be read: {error}").into()),
                Step::Ping => self.ws.ping(b"").await?,
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(message) = Pin::new(&mut self.ws).poll_next(cx) {
            return Poll::Ready(Step::Message(message));
        }
        // While the socket is not ready the input waits, and so does who writes into the pipe.
        let ready = matches!(Pin::new(&mut self.ws).poll_ready(cx), Poll::Ready(Ok(())));
        if let (true, Poll::Ready(Some(input))) = (ready, self.input.poll_recv(cx)) {
            return Poll::Ready(Step::Input(input));
        }
        match &mut self.pings {
            Some(pings) if ready => pings.poll_tick(cx).map(|_| Step::Ping),
            _ => Poll::Pending,
        }
    }

    fn send(&mut self, line: String) -> Result<(), Box<dyn Error>> {
        if !self.reading {
            return Ok(());
        }
        let message = match self.flags.binary {
            false => Message::Text(line.into()),
            true => match input::bytes(&line) {
                Ok(bytes) => Message::Binary(bytes.into()),
                Err(problem) if self.output.is_interactive() => {
                    self.output.note(&problem);
                    return Ok(());
                }
                Err(problem) => return Err(problem.into()),
            },
        };
        Pin::new(&mut self.ws).start_send(message)?;
        self.output.prompt();
        Ok(())
    }

    /// Says that we are done. What the server still has to say comes in, until its own Close.
    fn close(&mut self) {
        self.reading = false;
        // It sends what it can at once, and the rest as messages are awaited.
        let _ = Pin::new(&mut self.ws).poll_close(&mut Context::from_waker(std::task::Waker::noop()));
    }

    fn ended(&self) -> ExitCode {
        let (code, reason) = self.ws.close_reason().map_or((1006, ""), |close| (close.code, &*close.reason));
        let fine = matches!(code, 1000 | 1001 | 1005);
        self.output.closed(code, reason, fine);
        if fine { ExitCode::SUCCESS } else { ExitCode::from(CLOSED_WITH_ERROR) }
    }
}
