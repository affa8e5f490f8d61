//! The system from outside: every test starts a stack of its own, with a clock that stands still, and talks to it as
//! a platform, a person or Zoom would. One binary, so that it is linked once.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop where it is")]

mod direct;
mod world;

mod callers;
mod cancel;
mod connect;
mod edit;
mod look;
mod mail;
mod reads;
mod save;
mod smoke;
mod teach;
mod tidy;
mod token;
