//! This program: its version, what was built into it, and whether its TLS has what it needs.

use tidewire::tls::ClientTls;

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    vec![version(), compression(), tls(), authorities()]
}

fn version() -> Finding {
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    let found = format!("{} for {system}", env!("CARGO_PKG_VERSION"));
    match cfg!(target_os = "linux") {
        true => Finding::fine("tidewire", found),
        false => Finding::note("tidewire", found, "only Linux is tested; for others this is a convenience"),
    }
}

fn compression() -> Finding {
    Finding::fine("compression", "permessage-deflate by C zlib: small windows take the memory that they say")
}

/// Making a connector takes the provider of the cryptography and the roots of trust.
fn tls() -> Finding {
    match ClientTls::new().build() {
        Ok(_) => Finding::fine("TLS", "1.2 and 1.3 by rustls, cryptography of aws-lc-rs"),
        Err(error) => {
            let advice = "servers with --cert work all the same; clients must be given authorities (--ca)";
            Finding::problem("TLS", format!("a client cannot be set up: {error}"), advice)
        }
    }
}

/// Whom clients trust.
fn authorities() -> Finding {
    let places =
        ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
    let missing: Vec<_> = places.filter(|(_, value)| !std::env::split_paths(value).any(|path| path.exists())).collect();
    match missing.first() {
        None => Finding::fine("authorities", "clients trust the system's; Mozilla's where it has none"),
        Some((name, value)) => Finding::problem(
            "authorities",
            format!("{name} names {}, which is not there", value.display()),
            format!("correct {name} or unset it: until then clients trust Mozilla's authorities instead"),
        ),
    }
}
