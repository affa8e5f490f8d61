//! The sessions that had the same name of the host platform, one after the other.

use super::id::{ExternalRef, SessionId};

/// A session under the host platform's own name. A session that was cancelled is followed by one of the next generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRef {
    pub name: ExternalRef,
    pub generation: u32,
}

impl SessionRef {
    pub const FIRST_GENERATION: u32 = 1;

    /// Returns the first session with a name.
    pub fn first(name: &ExternalRef) -> Self {
        Self { name: name.clone(), generation: Self::FIRST_GENERATION }
    }

    /// Returns the session that follows this one after its cancellation.
    pub fn next(&self) -> Self {
        Self { name: self.name.clone(), generation: self.generation.saturating_add(1) }
    }

    /// Returns the id of the session. Simultaneous requests derive the same one.
    pub fn session_id(&self) -> SessionId {
        SessionId::for_ref(&self.name, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generation_of_a_name_has_its_own_session() {
        let name = |text: &str| ExternalRef::parse(text).unwrap();
        let first = SessionRef::first(&name("a"));
        assert_eq!(first.session_id(), SessionRef::first(&name("a")).session_id());
        let others = [first.next(), first.next().next(), SessionRef::first(&name("a1"))];
        let mut ids: Vec<_> = others.iter().map(SessionRef::session_id).collect();
        ids.push(first.session_id());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }
}
