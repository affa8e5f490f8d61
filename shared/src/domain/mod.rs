//! Domain types and rules, without clock, randomness, I/O or async code. Each rule is a pure function from values to a
//! decision, with a table of test cases beside it.

pub mod admission;
pub mod attendance;
pub mod audience;
pub mod caller;
pub mod directory;
pub mod domain_event;
pub mod draft;
pub mod drift;
pub mod host_status;
pub mod id;
pub mod in_app;
pub mod join_window;
pub mod mailing;
pub mod meeting_fields;
pub mod meeting_instance;
pub mod plan;
pub mod poll;
pub mod preferences;
pub mod recorded_span;
pub mod recording;
pub mod refusal;
pub mod reminder;
pub mod resend;
pub mod scope;
pub mod sealed;
pub mod session;
pub mod session_window;
pub mod settings;
pub mod text;
pub mod time;
pub mod trainer_session;
pub mod vote;
pub mod zoom_connection;
pub mod zoom_event;
pub mod zoom_link;
