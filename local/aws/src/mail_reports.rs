//! Reports of SES about sent mails, in the form in which it publishes them to EventBridge.
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-eventbridge-examples.html>

use serde::Deserialize;
use serde_json::{Value, json};

use super::Aws;
use super::eventbridge::{DEFAULT_BUS, NewEvent};
use super::mailbox::{Mail, MailSource};
use super::names::{ACCOUNT_ID, configuration_set_arn, identity_arn};
use crate::calls::AwsService;

/// A report of SES about a sent mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The address does not exist.
    Hard,
    /// The mailbox is full.
    Soft,
    /// The recipient marks the mail as spam.
    Complaint,
}

/// The reason why SES reports nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no such mail")]
    UnknownMail,
    #[error("the mail was not sent by SES, and ZeptoMail's reports are not simulated")]
    OtherService,
    #[error("the mail was sent without a configuration set, so SES reports nothing")]
    NoConfigurationSet,
    #[error("accessing the mailbox failed")]
    Database(#[from] rusqlite::Error),
}

impl Aws {
    /// Publishes SES's report about a mail. Returns the id of the event.
    pub fn report_mail(&self, id: &str, kind: ReportKind) -> Result<String, ReportError> {
        let mail = self.mailbox.get(id)?.ok_or(ReportError::UnknownMail)?;
        if mail.service != AwsService::Ses.name() {
            return Err(ReportError::OtherService);
        }
        let source = self.mailbox.source(id)?;
        let set = source.configuration_set.as_deref().ok_or(ReportError::NoConfigurationSet)?;
        let event = NewEvent {
            bus: DEFAULT_BUS.to_owned(),
            source: "aws.ses".to_owned(),
            detail_type: kind.detail_type().to_owned(),
            resources: vec![configuration_set_arn(set)],
            time: None,
            detail: self.detail(kind, &mail, set, &source),
        };
        Ok(self.buses.publish(event))
    }

    fn detail(&self, kind: ReportKind, mail: &Mail, set: &str, source: &MailSource) -> Value {
        let domain = mail.from.rsplit('@').next().unwrap_or_default();
        let mut tags = json!({
            "ses:configuration-set": [set],
            "ses:from-domain": [domain],
            "ses:operation": ["SendRawEmail"],
        });
        for (name, value) in &source.tags {
            tags[name] = json!([value]);
        }
        let recipient = mail.to.first().cloned().unwrap_or_default();
        let now = self.mailbox.now();
        let feedback = format!("0100{}-000000", self.mailbox.random_token());
        let mut detail = json!({
            "mail": {
                "timestamp": mail.sent_at.to_string(),
                "source": mail.from,
                "sourceArn": identity_arn(domain),
                "sendingAccountId": ACCOUNT_ID,
                "messageId": mail.id,
                "destination": mail.to,
                "headersTruncated": false,
                "tags": tags,
            },
        });
        let bounce = |kind: &str, sub_type: &str, status: &str, code: &str| {
            json!({
                "bounceType": kind,
                "bounceSubType": sub_type,
                "bouncedRecipients": [{
                    "emailAddress": recipient, "action": "failed", "status": status, "diagnosticCode": code,
                }],
                "timestamp": now.to_string(),
                "feedbackId": feedback,
                "reportingMTA": "dsn; mta.example.test",
            })
        };
        match kind {
            ReportKind::Hard => {
                detail["eventType"] = json!("Bounce");
                let code = "smtp; 550 5.1.1 user unknown";
                detail["bounce"] = bounce("Permanent", "General", "5.1.1", code);
            }
            ReportKind::Soft => {
                detail["eventType"] = json!("Bounce");
                let code = "smtp; 452 4.2.2 mailbox full";
                detail["bounce"] = bounce("Transient", "MailboxFull", "4.2.2", code);
            }
            ReportKind::Complaint => {
                detail["eventType"] = json!("Complaint");
                detail["complaint"] = json!({
                    "complainedRecipients": [{ "emailAddress": recipient }],
                    "timestamp": now.to_string(),
                    "feedbackId": feedback,
                    "userAgent": "Simulated feedback loop",
                    "complaintFeedbackType": "abuse",
                    "arrivalDate": now.to_string(),
                });
            }
        }
        detail
    }
}

impl ReportKind {
    fn detail_type(self) -> &'static str {
        match self {
            Self::Hard | Self::Soft => "Email Bounced",
            Self::Complaint => "Email Complaint Received",
        }
    }
}
