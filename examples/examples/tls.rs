//! TLS with several names: each client gets the certificate of the name that it asks for (SNI), and who asks for none gets the
//! first. A line on standard input has the files read again; the sockets that are open do not notice.
//!
//! ```sh
//! for name in a.localhost b.localhost; do
//!   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
//!     -subj "/CN=$name" -addext "subjectAltName=DNS:$name" -keyout "$name.key" -out "$name.pem"
//! done
//! cargo run -p tidewire-examples --example tls -- a.localhost b.localhost
//! curl --cacert b.localhost.pem https://b.localhost:3000/
//! ```

use std::error::Error;
use std::io::stdin;
use std::{env, thread};

use tidewire::tls::{Certificate, Tls, TlsDetails};
use tidewire::{IntoReply, Server, Upgrade};

/// The certificates of all names: NAME.pem and NAME.key in this folder.
fn certificates(names: &[String]) -> Result<Tls, Box<dyn Error>> {
    let mut certificates = names.iter().map(|name| Certificate::files(format!("{name}.pem"), format!("{name}.key")));
    let first = certificates.next().ok_or("usage: tls NAME... (with NAME.pem and NAME.key in this folder)")?;
    Ok(certificates.fold(Tls::new(first), Tls::certificate))
}

fn main() -> Result<(), Box<dyn Error>> {
    let names: Vec<String> = env::args().skip(1).collect();
    let server = Server::builder()
        .tls(certificates(&names)?)?
        .fetch(|req, server| async move {
            if req.headers().contains_key("upgrade") {
                return server.upgrade(&req, Upgrade::new(())).into_reply();
            }
            let host = req.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("nobody");
            let Some(tls) = req.extensions().get::<TlsDetails>() else { return "not secure\n".into_reply() };
            format!("this is {host}, through {:?}\n", tls.version).into_reply()
        })
        .message(|ws, message| {
            ws.send(message);
        })
        .bind(tidewire_examples::address()?)?;
    println!("listening on {}", server.url());

    let reloading = server.clone();
    thread::spawn(move || {
        for _ in stdin().lines() {
            let reloaded = certificates(&names).and_then(|tls| Ok(reloading.reload_tls(&tls)?));
            match reloaded {
                Ok(()) => println!("new connections get the new certificates"),
                Err(error) => eprintln!("the old certificates stay: {error}"),
            }
        }
    });
    Ok(server.run()?)
}
