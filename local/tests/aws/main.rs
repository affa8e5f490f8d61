//! Tests of the emulated AWS services through AWS's SDK clients, over a socket.

#![expect(clippy::unwrap_used, reason = "tests and their helpers fail by panicking")]

mod dynamodb;
mod faults;
mod limits;
mod mail;
mod permissions;
mod restart;
mod secrets;
mod sqs;
mod stack;
mod usage;
