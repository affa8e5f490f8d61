//! Zoom over HTTP: OAuth and the REST calls that live classes need. It knows Zoom's words and nothing of ours but ids.
//! Who may call with which token is decided elsewhere (`app::zoom_access`).

mod client;
mod error;
mod limits;
mod meetings;
mod oauth;
pub mod signature;
mod tokens;
pub mod webhook;

pub use client::{Access, ClientCredentials, Zoom};
pub use error::ZoomError;
pub use meetings::{AutoRecording, Created, MeetingBody, MeetingBodySettings, mark, marked};
pub use oauth::Grant;
