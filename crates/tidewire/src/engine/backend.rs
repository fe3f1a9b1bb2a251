//! The way to the kernel of a worker that was not given one.

use std::io;
use std::sync::Once;

use tidewire_sys::{Choice, Io};

/// Opens what was chosen; says so, once, where the kernel does not give it.
pub(crate) fn open_io(choice: Choice) -> io::Result<Box<dyn Io + Send>> {
    static TOLD: Once = Once::new();
    let opened = choice.open()?;
    if let Some(reason) = &opened.refused {
        TOLD.call_once(|| tracing::warn!(%reason, "TIDEWIRE_IO asks for io_uring; readiness is used instead"));
    }
    Ok(opened.io)
}
