//! The system from outside: every test starts a stack of its own, with a clock that stands still, and talks to it as
//! a platform, a person or Zoom would. One binary, so that it is linked once.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop where it is")]

mod direct;
mod log;
mod look;
mod world;

mod attendance;
mod callers;
mod cancel;
mod config;
mod connect;
mod crowd;
mod directory;
mod edit;
mod ending;
mod join;
mod kept;
mod lesson;
mod mail;
mod metrics;
mod newest;
mod notifications;
mod openapi;
mod outbox;
mod outbox_crash;
mod outbox_faults;
mod outbox_load;
mod places;
mod poll;
mod price;
mod reads;
mod recordings;
mod reminders;
mod repair;
mod repeat;
mod resend;
mod save;
mod smoke;
mod teach;
mod tidy;
mod timeline;
mod token;
mod told;
mod usage;
mod webhook;
mod zoom_examples;
mod zoom_spec;
