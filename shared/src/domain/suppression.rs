//! Addresses that get no mails, because a mail to them bounced or its recipient complained.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::id::SessionId;
use super::mailing::AddressDigest;
use super::text::Email;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SuppressionReason {
    Bounce,
    Complaint,
}

impl SuppressionReason {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns whether this reason replaces an earlier one. A complaint is a person's decision and outranks a bounce.
    pub fn replaces(self, earlier: Option<Self>) -> bool {
        match earlier {
            None => true,
            Some(earlier) => earlier == Self::Bounce && self == Self::Complaint,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    pub address: AddressDigest,
    /// `None` after the person was erased.
    pub email: Option<Email>,
    pub reason: SuppressionReason,
    /// The mail service's words for the reason.
    pub detail: String,
    pub at: Timestamp,
    /// The session of the mail that came back. `None` for a mail about no session.
    pub session: Option<SessionId>,
}

#[cfg(test)]
mod tests {
    use super::SuppressionReason::*;

    #[test]
    fn only_a_complaint_replaces_a_bounce() {
        for (reason, earlier, expected) in [
            (Bounce, None, true),
            (Complaint, None, true),
            (Complaint, Some(Bounce), true),
            (Bounce, Some(Bounce), false),
            (Bounce, Some(Complaint), false),
            (Complaint, Some(Complaint), false),
        ] {
            assert_eq!(reason.replaces(earlier), expected, "{reason:?} after {earlier:?}");
        }
    }
}
