//! The local stack: the whole system on one machine, in one process.
//!
//! `stack` assembles it. `lambda`, `gateway` and `schedules` replace Lambda, API Gateway and EventBridge. The crates
//! `simulated_aws` and `simulated_zoom` replace the services that the functions call. `wire` is between them: `faults` and
//! `usage` act on the calls. `console` is the web interface, `demo` plays one session, and `sign` signs a Zoom event for
//! tools that invoke a function.

pub mod console;
pub mod demo;
pub mod stack;

pub mod event_targets;
pub mod functions;
pub mod gateway;
pub mod issuer;
pub mod lambda;
mod origin;
pub mod queue_triggers;
pub mod schedules;
pub mod seed;
pub mod settings;
pub mod sign;

pub mod calls;
pub mod deferred;
pub mod faults;
pub mod usage;
pub mod wire;

pub use simulated_aws as aws;
pub use simulated_aws::template;
pub use simulated_zoom as zoom;
