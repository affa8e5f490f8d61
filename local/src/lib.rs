//! The whole system on one machine: what the functions need around them, in one process.
//!
//! `stack` puts it together. `functions`, `gateway` and `schedules` are Lambda and what calls it; `aws` and `zoom` are
//! what the functions call; `faults` and `usage` sit on the wire between. `console` shows all of it to a person; `demo`
//! plays a class against it; `sign` seals an event of Zoom's for the tools that call a function from outside.

pub mod console;
pub mod demo;
pub mod stack;

pub mod functions;
pub mod gateway;
pub mod issuer;
pub mod schedules;
pub mod seed;
pub mod settings;
pub mod sign;

pub mod aws;
pub mod zoom;

pub mod calls;
pub mod faults;
pub mod template;
pub mod usage;
pub mod wire;
mod zoom_calls;
