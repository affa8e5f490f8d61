//! Noting what came of the mails of a round.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};

use super::{CLAIMS_AT_ONCE, Delivery, InHand, OutboxReport};
use crate::app::error::Error;
use crate::domain::id::SessionId;
use crate::domain::mailing::claim::pause_after;
use crate::domain::mailing::{MailSubject, DeliveryStatus};
use crate::store::mailing::{ClaimEnd, DeliveryUpdate, give_back};

/// How often noting is tried: what is not noted is sent twice, so it is worth a wait.
const NOTE_ATTEMPTS: u32 = 3;

/// What came of a mail in hand.
pub(super) enum SendOutcome {
    Sent(String),
    Failed(String),
    Dropped(&'static str),
    /// It counts as a try.
    Retry(String),
    /// It counts as none, and is told.
    Later(String, Duration),
    /// It counts as none, and is not worth a word.
    NotNow(Duration),
    GivenUp,
}

/// What is noted of a mail, and when its message comes again, if it does.
struct Word {
    state: DeliveryStatus,
    note: String,
    claim: ClaimEnd,
    pause: Option<Duration>,
}

impl SendOutcome {
    /// What it says of whether its recipient has the mail; nothing where it was not tried.
    pub(super) fn state(&self) -> Option<DeliveryStatus> {
        match self {
            Self::Sent(_) => Some(DeliveryStatus::Sent),
            Self::Failed(_) => Some(DeliveryStatus::Failed),
            Self::Dropped(_) => Some(DeliveryStatus::Dropped),
            Self::Retry(_) | Self::Later(..) => Some(DeliveryStatus::Retrying),
            Self::GivenUp => Some(DeliveryStatus::Dead),
            Self::NotNow(_) => None,
        }
    }

    /// What is noted after so many tries; of what is not worth a word, when it comes again.
    fn word(self, attempts: u32) -> Result<Word, Duration> {
        let word = |state, note, claim, pause| Ok(Word { state, note, claim, pause });
        match self {
            Self::NotNow(pause) => Err(pause),
            Self::Sent(id) => word(DeliveryStatus::Sent, id, ClaimEnd::AsItIs, None),
            Self::Failed(code) => word(DeliveryStatus::Failed, code, ClaimEnd::Over, None),
            Self::Dropped(why) => word(DeliveryStatus::Dropped, why.to_owned(), ClaimEnd::Over, None),
            Self::Later(code, pause) => {
                word(DeliveryStatus::Retrying, code, ClaimEnd::Uncounted, Some(pause))
            }
            Self::GivenUp => {
                word(DeliveryStatus::Dead, "outcome_unknown".to_owned(), ClaimEnd::Over, None)
            }
            Self::Retry(code) => match pause_after(attempts) {
                Some(pause) => word(DeliveryStatus::Retrying, code, ClaimEnd::Again, Some(pause)),
                None => word(DeliveryStatus::Dead, code, ClaimEnd::Over, None),
            },
        }
    }
}

/// The mails of a round that are answered for: `None` is done with, a time is when to come again.
#[derive(Default)]
pub(super) struct FinishedMail {
    pub(super) of: Vec<(InHand, Option<Duration>)>,
    pub(super) trouble: Option<Error>,
}

impl Delivery<'_> {
    /// Notes what came of each. What has left goes first: if the run ended here, that would leave again, and the rest
    /// would only wait.
    pub(super) async fn note(
        &self,
        outcomes: Vec<(InHand, SendOutcome)>,
        report: &mut OutboxReport,
    ) -> FinishedMail {
        let (mut told, mut dead, mut back) = (Vec::new(), Vec::new(), Vec::new());
        for (one, outcome) in outcomes {
            match outcome.word(one.claim.attempts) {
                Err(pause) => back.push((one, pause)),
                Ok(word) if word.state == DeliveryStatus::Dead => dead.push((one, word)),
                Ok(word) => told.push((one, word)),
            }
        }
        let mut ended = FinishedMail::default();
        self.note_all(told, &mut ended, report).await;
        let back = back.into_iter().map(|(one, pause)| async move {
            self.give_back(&one).await;
            (one, Some(pause))
        });
        let dead = dead.into_iter().map(|(one, word)| async move {
            // It is not dead before it lies among the dead; until then its message comes again.
            let buried = self.tools.outbox.bury(&one.mail, &word.note).await;
            buried.map(|()| (one, word))
        });
        let (back, dead) = futures::join!(
            stream::iter(back).buffer_unordered(CLAIMS_AT_ONCE).collect::<Vec<_>>(),
            stream::iter(dead).buffer_unordered(CLAIMS_AT_ONCE).collect::<Vec<_>>(),
        );
        ended.of.extend(back);
        let mut buried = Vec::with_capacity(dead.len());
        for one in dead {
            match one {
                Ok(one) => buried.push(one),
                Err(error) => tracing::error!(event = "email.not_buried", %error),
            }
        }
        self.note_all(buried, &mut ended, report).await;
        ended
    }

    /// Frees a claim as if it had not been taken.
    async fn give_back(&self, one: &InHand) {
        let back = give_back(&one.mail.subject, &one.mail.message_key);
        if let Err(error) = self.tools.store.commit_one(back).await {
            // It runs out, and then counts as lost; the mail is sent all the same.
            tracing::warn!(event = "email.claim_left", %error);
        }
    }

    /// Those about one class together, classes beside each other.
    async fn note_all(&self, all: Vec<(InHand, Word)>, ended: &mut FinishedMail, report: &mut OutboxReport) {
        let mut by_class: BTreeMap<MailSubject, Vec<(InHand, DeliveryUpdate, Option<Duration>)>> = BTreeMap::new();
        for (one, Word { state, note, claim, pause }) in all {
            tell_log(&one, state, &note, report);
            let fate = one.fate(state, Some(note));
            let noted = DeliveryUpdate { fate, before: one.claim.told, claim };
            by_class.entry(one.mail.subject.clone()).or_default().push((one, noted, pause));
        }
        let noting = by_class.into_iter().map(|(about, all)| async move {
            let noted: Vec<_> = all.iter().map(|(_, noted, _)| noted.clone()).collect();
            (self.note_fates(&about, &noted).await, all)
        });
        let noted: Vec<_> = stream::iter(noting).buffer_unordered(CLAIMS_AT_ONCE).collect().await;
        for (result, all) in noted {
            match result {
                Ok(()) => ended.of.extend(all.into_iter().map(|(one, _, pause)| (one, pause))),
                Err(error) => ended.trouble = Some(error),
            }
        }
    }

    /// What is not noted is in doubt: messages of it stay, and each mail may leave once more.
    async fn note_fates(&self, about: &MailSubject, noted: &[DeliveryUpdate]) -> Result<(), Error> {
        let at = self.tools.clock.now();
        let mut attempt = 1;
        loop {
            match self.tools.store.record_deliveries(about, noted, at).await {
                Ok(()) => return Ok(()),
                Err(error) if attempt < NOTE_ATTEMPTS => {
                    tracing::warn!(event = "email.not_noted", %error, attempt);
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn tell_log(one: &InHand, state: DeliveryStatus, note: &str, report: &mut OutboxReport) {
    let mail = &one.mail;
    let session = mail.subject.session().map(SessionId::as_str);
    let (effect, kind, attempt) = (&mail.message_key, mail.kind.as_str(), one.claim.attempts);
    match state {
        DeliveryStatus::Sent => {
            report.sent += 1;
            tracing::info!(event = "email.sent", session_id = session, %effect, kind, message_id = note);
        }
        DeliveryStatus::Dropped => {
            report.dropped += 1;
            tracing::info!(event = "email.dropped", session_id = session, %effect, kind, why = note);
        }
        DeliveryStatus::Retrying => {
            report.retried += 1;
            tracing::warn!(event = "email.retrying", session_id = session, %effect, kind, code = note, attempt);
        }
        DeliveryStatus::Failed => {
            report.failed += 1;
            tracing::warn!(event = "email.failed", session_id = session, %effect, kind, code = note);
        }
        DeliveryStatus::Dead => {
            report.dead += 1;
            tracing::error!(event = "email.dead", session_id = session, %effect, kind, code = note, attempt);
        }
        DeliveryStatus::Queued => {}
    }
}
