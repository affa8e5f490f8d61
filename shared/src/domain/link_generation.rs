//! The generations of guest links. A link is valid if its generation is not below that of the invitation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::text::Email;

/// Milliseconds at which links of an address were replaced. 0 if they never were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkGeneration(pub u64);

impl LinkGeneration {
    pub fn at(now: Timestamp) -> Self {
        Self(u64::try_from(now.as_millisecond()).unwrap_or_default())
    }

    pub fn is_first(&self) -> bool {
        self.0 == 0
    }
}

/// The generations for the invitees of a new list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkGenerations {
    kept: BTreeMap<Email, LinkGeneration>,
    of_new: LinkGeneration,
}

impl LinkGenerations {
    /// Returns the generations after an edit. The addresses of the list before keep theirs. Links of an address that is
    /// invited now may exist from an earlier invitation, which was withdrawn.
    pub fn after_edit(kept: BTreeMap<Email, LinkGeneration>, edited_at: Timestamp) -> Self {
        Self { kept, of_new: LinkGeneration::at(edited_at) }
    }

    pub fn of(&self, email: &Email) -> LinkGeneration {
        self.kept.get(email).copied().unwrap_or(self.of_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_addresses_keep_their_generation_and_new_ones_start_later() {
        let [old, resent, new] = ["old", "resent", "new"]
            .map(|name| Email::parse(&format!("{name}@example.test")).unwrap());
        let kept = [(old.clone(), LinkGeneration(0)), (resent.clone(), LinkGeneration(5))];
        let at = Timestamp::from_millisecond(9).unwrap();
        let edited = LinkGenerations::after_edit(kept.into(), at);
        assert_eq!([&old, &resent, &new].map(|email| edited.of(email).0), [0, 5, 9]);
        assert_eq!(LinkGenerations::default().of(&new), LinkGeneration(0));
    }
}
