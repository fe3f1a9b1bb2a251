//! The backplane: how a publish reaches subscribers that this worker does not have.
//!
//! Its one implementation today is [`Link`], which joins the workers of a process. A broker between machines takes the same
//! place: it is given what a worker publishes in a turn, and hands what comes from elsewhere to the workers' mailboxes. What
//! arrives through it enters at the topic, never further up.

mod batch;
mod link;

pub(crate) use batch::{Batch, Framed, Stretch};
pub(crate) use link::{Link, Pending};
