//! A client for Zoom's OAuth endpoints and REST API. It depends on none of our domain rules.
//! `app::zoom_access` selects the token for each call.

mod client;
mod error;
mod limits;
pub mod lists;
mod marked_meetings;
mod meetings;
mod oauth;
pub mod past_meetings;
pub mod recordings;
pub mod registrants;
pub mod signature;
mod tokens;
pub mod users;
pub mod webhook;

pub use client::{Access, ApiUser, ClientCredentials, Zoom};
pub use error::ZoomError;
pub use meetings::{
    AutoRecording, MarkedMeeting, MeetingBody, MeetingBodySettings, RegistrationSettings,
    ZoomMeeting,
};
pub use oauth::{AccountGrant, Grant};
