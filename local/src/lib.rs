//! The local stack: the whole system on one machine, in one process.
//!
//! `stack` assembles it. `lambda`, `gateway` and `schedules` replace Lambda, API Gateway and EventBridge. `aws` and
//! `zoom` replace the services that the functions call, and `faults` and `usage` act on the calls in between. `console`
//! is the web interface, `demo` plays one session, and `sign` signs a Zoom event for tools that invoke a function.

pub mod console;
pub mod demo;
pub mod stack;

pub mod functions;
pub mod gateway;
pub mod issuer;
pub mod lambda;
mod origin;
pub mod schedules;
pub mod seed;
pub mod settings;
pub mod sign;

pub mod aws;
pub mod zoom;

pub mod calls;
pub mod deferred;
pub mod faults;
pub mod template;
pub mod usage;
pub mod wire;
mod zoom_calls;
