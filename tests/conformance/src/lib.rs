//! Conformance: the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) against `tidewire echo --compress`.
//!
//! No case is left out: of all 517, none may fail, be unimplemented or non-strict, or end with an unclean close. The suite needs a Python 2 and is
//! run by hand for now; a command of its own is still to come.

#![forbid(unsafe_code)]
