//! The local AWS as its users see it: through AWS's own SDK clients, over a socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod dynamodb;
mod faults;
mod mail;
mod restart;
mod secrets;
mod sqs;
mod stack;
mod usage;
