//! What must be the same in two places, and what must not stand anywhere: read from the sources themselves, so that it
//! cannot be forgotten.

mod documents;
mod events;
mod layers;
mod source;
mod template;
mod tree;
mod watching;

/// Fails with everything that is wrong, not only with the first.
#[track_caller]
fn nothing_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}
