//! Headers of the upgrade's response: a session id as a cookie.

use std::error::Error;

use tidewire::server::FetchError;
use tidewire::{Server, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .fetch(|req, server| async move {
            // An error here answers 500, with no detail for the client.
            let session_id = generate_session_id().await?;
            let upgrade = Upgrade::new(()).header("Set-Cookie", format!("SessionId={session_id}; HttpOnly; SameSite=Strict"));
            // A request that is no handshake is answered with what was wrong: 400, or 426.
            Ok::<_, FetchError>(server.upgrade(&req, upgrade))
        })
        .bind(tidewire_examples::address()?)?;

    println!("listening on {}", server.url());
    Ok(server.run()?)
}

/// Nobody can guess it: 128 random bits.
async fn generate_session_id() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
