//! Linux: completion rings, "do this, and tell me when it is done".

mod support;

pub use support::{Operation, Support};
