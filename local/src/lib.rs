//! The whole system on one machine: what the functions need around them, in one process.

pub mod aws;
pub mod calls;
pub mod faults;
pub mod template;
pub mod usage;
pub mod wire;
pub mod zoom;
mod zoom_calls;
