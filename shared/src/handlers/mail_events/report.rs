//! Parses the events of SES.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::id::SessionId;
use crate::domain::mail_return::{
    KIND_TAG, MESSAGE_TAG, MailReturn, ReturnKind, ReturnedMail, SESSION_TAG,
};
use crate::domain::mailing::MessageKey;
use crate::domain::refusal::Refusal;
use crate::domain::text::Email;

/// The longest reason in characters. SES's own words are much shorter.
const REASON_LIMIT: usize = 64;
/// The type of feedback by which a recipient takes back a complaint (RFC 6430).
const NOT_SPAM: &str = "not-spam";

#[derive(Deserialize)]
struct SesEvent {
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    event_type: String,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
    mail: SentMail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    #[serde(default)]
    bounce_sub_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    complaint_sub_type: Option<String>,
    #[serde(default)]
    complaint_feedback_type: Option<String>,
}

#[derive(Deserialize)]
struct SentMail {
    timestamp: Timestamp,
    /// The recipients of the mail. A report can name other addresses, to which a mailbox forwards.
    destination: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, Vec<String>>,
}

/// The content of an event.
#[derive(Debug, PartialEq)]
pub(super) enum Report {
    Returned(Box<MailReturn>),
    /// The event concerns no mail of this service, with the reason for the log.
    Ignored(&'static str),
}

impl Report {
    pub(super) fn parse(event: Value) -> Result<Self, Refusal> {
        let event: SesEvent = serde_json::from_value(event).map_err(invalid)?;
        let Detail { event_type, bounce, complaint, mail } = event.detail;
        let (kind, detail) = match (event_type.as_str(), bounce, complaint) {
            ("Bounce", Some(bounce), _) => bounce.kind_and_reason(),
            ("Complaint", _, Some(complaint)) => match complaint.reason() {
                Some(reason) => (ReturnKind::Complaint, reason),
                None => return Ok(Self::Ignored(NOT_SPAM)),
            },
            ("Bounce" | "Complaint", ..) => return Err(invalid("the details are missing")),
            _ => return Ok(Self::Ignored("event_type")),
        };
        let Some(tagged) = mail.tagged() else { return Ok(Self::Ignored("tags")) };
        let [to] = mail.destination.as_slice() else {
            return Err(invalid("the mail must have one recipient"));
        };
        let to = Email::parse(to).map_err(|_| invalid("the recipient is not an address"))?;
        let sent_at = mail.timestamp;
        Ok(Self::Returned(Box::new(MailReturn { kind, mail: tagged, to, detail, sent_at })))
    }
}

fn invalid(reason: impl std::fmt::Display) -> Refusal {
    Refusal::field("event", reason)
}

impl Bounce {
    /// SES gives up after a transient bounce, too. It reports automatic replies as transient, and unknown replies as
    /// undetermined, so that neither means a wrong address.
    fn kind_and_reason(&self) -> (ReturnKind, String) {
        let kind = match self.bounce_type.as_str() {
            "Permanent" => ReturnKind::HardBounce,
            _ => ReturnKind::SoftBounce,
        };
        let sub_type = self.bounce_sub_type.as_deref().unwrap_or_default();
        (kind, reason([self.bounce_type.as_str(), sub_type]))
    }
}

impl Complaint {
    /// Returns `None` if the recipient has taken back a complaint.
    fn reason(&self) -> Option<String> {
        let feedback = self.complaint_feedback_type.as_deref().unwrap_or_default();
        let sub_type = self.complaint_sub_type.as_deref().unwrap_or_default();
        (feedback != NOT_SPAM).then(|| reason(["complaint", feedback, sub_type]))
    }
}

impl SentMail {
    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name)?.first().map(String::as_str)
    }

    /// Returns `None` for a mail that this service has not sent.
    fn tagged(&self) -> Option<ReturnedMail> {
        Some(ReturnedMail {
            message_key: MessageKey::parse(self.tag(MESSAGE_TAG)?)?,
            session: self.tag(SESSION_TAG).and_then(SessionId::parse),
            kind: self.tag(KIND_TAG).and_then(|kind| serde_json::from_value(kind.into()).ok()),
        })
    }
}

/// Joins SES's words in the way of our own codes: `Permanent` and `MailboxFull` become `permanent_mailbox_full`.
fn reason<const N: usize>(words: [&str; N]) -> String {
    let mut code = String::new();
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        let mut is_start = true;
        for char in word.chars() {
            let starts_word =
                is_start || char.is_ascii_uppercase() || !char.is_ascii_alphanumeric();
            if starts_word && !code.is_empty() && !code.ends_with('_') {
                code.push('_');
            }
            if char.is_ascii_alphanumeric() {
                code.push(char.to_ascii_lowercase());
            }
            is_start = false;
        }
    }
    code.truncate(REASON_LIMIT);
    code
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::mailing::MailKind;

    fn event(detail: Value) -> Value {
        let mut event =
            json!({"detail-type": "Email Bounced", "source": "aws.ses", "detail": detail});
        if event["detail"]["mail"].is_null() {
            event["detail"]["mail"] = json!({
                "timestamp": "2026-12-01T09:00:00.123Z",
                "messageId": "0100",
                "destination": ["Ada@example.test"],
                "tags": {
                    "ses:configuration-set": ["classes"],
                    "message": ["0123456789abcdef0123456789abcdef"],
                    "session": ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"],
                    "kind": ["scheduled"],
                },
            });
        }
        event
    }

    fn bounce(kind: &str, sub_type: &str) -> Value {
        let bounce = json!({"bounceType": kind, "bounceSubType": sub_type});
        json!({"eventType": "Bounce", "bounce": bounce})
    }

    fn complaint(feedback: Option<&str>, sub_type: Option<&str>) -> Value {
        let complaint = json!({"complaintFeedbackType": feedback, "complaintSubType": sub_type});
        json!({"eventType": "Complaint", "complaint": complaint})
    }

    fn returned(detail: Value) -> Option<(ReturnKind, String)> {
        match Report::parse(event(detail)).unwrap() {
            Report::Returned(returned) => Some((returned.kind, returned.detail)),
            Report::Ignored(_) => None,
        }
    }

    #[test]
    fn bounce_type_and_feedback_determine_the_kind_of_return() {
        use ReturnKind::*;
        let cases = [
            (bounce("Permanent", "General"), Some((HardBounce, "permanent_general"))),
            (
                bounce("Permanent", "OnAccountSuppressionList"),
                Some((HardBounce, "permanent_on_account_suppression_list")),
            ),
            (bounce("Transient", "MailboxFull"), Some((SoftBounce, "transient_mailbox_full"))),
            (
                bounce("Undetermined", "Undetermined"),
                Some((SoftBounce, "undetermined_undetermined")),
            ),
            (complaint(Some("abuse"), None), Some((Complaint, "complaint_abuse"))),
            (complaint(None, None), Some((Complaint, "complaint"))),
            (complaint(Some("auth-failure"), None), Some((Complaint, "complaint_auth_failure"))),
            (complaint(Some("not-spam"), None), None),
            (json!({"eventType": "Delivery"}), None),
        ];
        for (detail, expected) in cases {
            let expected = expected.map(|(kind, detail)| (kind, detail.to_owned()));
            assert_eq!(returned(detail.clone()), expected, "{detail}");
        }
    }

    #[test]
    fn mail_is_identified_by_its_tags() {
        let Ok(Report::Returned(returned)) = Report::parse(event(bounce("Permanent", "General")))
        else {
            panic!("the event is not parsed")
        };
        assert_eq!(returned.to, Email::parse("ada@example.test").unwrap());
        assert_eq!(returned.mail.message_key.as_str(), "0123456789abcdef0123456789abcdef");
        assert_eq!(returned.mail.session.unwrap().as_str(), "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_eq!(returned.mail.kind, Some(MailKind::Scheduled));
        for (tag, value) in [("message", json!(["short"])), ("message", Value::Null)] {
            let mut event = event(bounce("Permanent", "General"));
            event["detail"]["mail"]["tags"][tag] = value;
            if event["detail"]["mail"]["tags"][tag].is_null() {
                event["detail"]["mail"]["tags"] = json!({});
            }
            assert_eq!(Report::parse(event), Ok(Report::Ignored("tags")));
        }
    }

    #[test]
    fn event_without_its_details_is_refused() {
        let mut two = event(bounce("Permanent", "General"));
        two["detail"]["mail"]["destination"] = json!(["a@example.test", "b@example.test"]);
        let mut none = event(bounce("Permanent", "General"));
        none["detail"]["mail"]["destination"] = json!(["nobody"]);
        let without = event(json!({"eventType": "Bounce"}));
        for invalid in [two, none, without, json!({}), event(json!({}))] {
            assert!(Report::parse(invalid.clone()).is_err(), "{invalid}");
        }
    }
}
