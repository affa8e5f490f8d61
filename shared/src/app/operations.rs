//! Use cases of the function `operations`, one submodule per subject.

pub mod capabilities;
pub mod meeting_log;
pub mod runs;
pub mod session_log;
pub mod suppressions;
