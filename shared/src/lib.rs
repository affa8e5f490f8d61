//! Live classes on Zoom: everything that the functions share.

pub mod auth;
pub mod aws;
pub mod clock;
pub mod config;
pub mod crypt;
pub mod net;
pub mod random;
pub mod secret;
pub mod secrets;
pub mod telemetry;
