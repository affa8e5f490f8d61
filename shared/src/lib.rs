//! Live classes on Zoom: everything that the functions share.
//!
//! In reading order: what the system knows (`domain`), what it does (`app`), how it is called (`handlers`),
//! what it keeps (`store`), whom it talks to (`zoom`, `queue`, `mail`), and the leaves that all of them use.

pub mod domain;

pub mod app;
pub mod handlers;

pub mod mail;
pub mod queue;
pub mod store;
pub mod zoom;

pub mod auth;
pub mod aws;
pub mod clock;
pub mod config;
pub mod crypt;
pub mod http;
pub mod jwt;
pub mod net;
pub mod random;
pub mod secret;
pub mod secrets;
pub mod telemetry;
