//! What the system knows, as values: no clock, no randomness, no I/O, nothing async.
//! Every rule is a plain function from values to a decision, and its table of cases stands beside it.

pub mod admission;
pub mod attendance;
pub mod audience;
pub mod vote;
pub mod caller;
pub mod domain_event;
pub mod zoom_connection;
pub mod directory;
pub mod draft;
pub mod drift;
pub mod id;
pub mod mailing;
pub mod in_app;
pub mod meeting_instance;
pub mod plan;
pub mod poll;
pub mod preferences;
pub mod refusal;
pub mod reminder;
pub mod resend;
pub mod scope;
pub mod sealed;
pub mod session;
pub mod settings;
pub mod text;
pub mod time;
pub mod join_window;
pub mod zoom_event;
pub mod zoom_link;
