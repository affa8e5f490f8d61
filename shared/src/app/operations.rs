//! Use cases of the function `operations`, one submodule per subject.

pub mod capabilities;
