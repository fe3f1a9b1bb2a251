//! Conformance: the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) against `tidewire echo --compress`, whose
//! compression is C zlib's, and against the program `autobahn-client` of this package, whose compression is zlib-rs'.
//!
//! No case is left out: of all 517, none may fail, be unimplemented or non-strict, or end with an unclean close. `cargo xtask
//! conformance` runs them, and `cargo xtask test` the quick ones, for `WebSocket` of the npm package as well (`client.cjs`), and for its
//! `serve()` (`echo.mjs`).

#![forbid(unsafe_code)]
