//! The Node-API addon of the npm package `tidewire`: a worker of the engine on Node's own thread.
//!
//! | file | what it is for |
//! |---|---|
//! | [`napi`] | Node-API, wrapped: values in, values out, calls into JavaScript |
//! | [`driver`] | what has the worker turned: the next, or the one after |
//! | [`uv`] | the handles on Node's event loop that turn and flush the worker |
//! | [`doorbell`] | a thread that rings where libuv is hidden |
//! | [`groups`] | servers of several threads that share a port, and so their topics |
//! | [`host`] | one server: its worker, its handles, its end |
//! | [`application`] | the engine's events as calls of JavaScript |
//! | [`bodies`] | bodies that stream, in both directions |
//! | [`seats`] | the sockets that JavaScript holds, by number |
//! | [`calls`] | what JavaScript calls: of servers, requests and sockets |
//! | [`slab`] | memory that JavaScript sees too |
//! | [`replies`] | what JavaScript sends while it handles a run of messages |
//! | [`options`] | limits, as JavaScript gives them |
//!
//! `unsafe` is in `napi`, `slab`, `uv` and `doorbell` only. The logic is the engine's; JavaScript's part (lib/) shapes arguments.

mod application;
mod bodies;
mod calls;
mod doorbell;
mod driver;
mod groups;
mod host;
mod napi;
mod options;
mod replies;
mod seats;
mod slab;
mod uv;
