//! Checks on the files of the workspace: places that state the same fact must agree, and some texts must not appear.

mod alarms;
mod cycles;
mod deployment;
mod documents;
mod events;
mod layers;
mod length;
mod references;
mod source;
mod stored;
mod template;
mod tree;
mod vocabulary;

/// Fails with the complete list of problems.
#[track_caller]
fn assert_no_problems(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}
