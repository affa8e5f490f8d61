//! The fields of a meeting at Zoom that its session determines, and their comparison.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::digest::Digest;
use super::id::SessionId;
use super::session::{DELETED, Session};
use super::text::DESCRIPTION_LIMIT_CHARS;
use super::zoom_event::MeetingChange;

pub const TITLE: &str = "title";
pub const DESCRIPTION: &str = "description";
pub const STARTS_AT: &str = "starts_at";
/// Zoom shows the meeting in this time zone. A difference alone moves nothing, so it is no drift.
pub const TIMEZONE: &str = "timezone";
pub const DURATION: &str = "duration_minutes";
pub const RECORDING: &str = "record_session";
/// The prefix of a setting's field, followed by Zoom's name of the setting.
pub const SETTING_PREFIX: &str = "settings.";
/// Zoom's setting of the automatic recording.
pub const AUTO_RECORDING: &str = "auto_recording";

/// Zoom's setting of the registration for a meeting.
pub const APPROVAL_TYPE: &str = "approval_type";
/// Zoom: people register, and each gets a personal link at once.
pub const APPROVED_AT_ONCE: u8 = 0;

/// Hex digits of a digest of a value: 48 bits. Equality is checked for a few values per session.
const DIGEST_DIGITS: usize = 12;
const MARK_START: &str = "[live class ";
const MARK_END: char = ']';

/// Values by field.
pub type FieldValues = BTreeMap<String, Value>;

/// Returns the line in a meeting's agenda that identifies its session if our own record of the meeting is lost.
pub fn agenda_mark(session: &SessionId) -> String {
    format!("{MARK_START}{session}{MARK_END}")
}

/// Returns the agenda of a meeting: the description, truncated to Zoom's limit, and the mark.
pub fn agenda_with_mark(description: &str, session: &SessionId) -> String {
    let mark = agenda_mark(session);
    if description.is_empty() {
        return mark;
    }
    let room = DESCRIPTION_LIMIT_CHARS - mark.chars().count() - 2;
    let description: String = description.chars().take(room).collect();
    format!("{}\n\n{mark}", description.trim_end())
}

/// Returns the session that an agenda is marked with. The last mark counts: a description can contain a text like a mark,
/// and somebody can add text behind ours.
pub fn marked_session(agenda: &str) -> Option<SessionId> {
    agenda.rmatch_indices(MARK_START).find_map(|(at, _)| {
        let (id, _) = agenda[at + MARK_START.len()..].split_once(MARK_END)?;
        SessionId::parse(id)
    })
}

/// Returns the fields that the meeting of a session should have.
pub fn expected_fields(session: &Session) -> FieldValues {
    // An ambiguous local start is sent in UTC.
    let zone = if session.details.zone.is_ambiguous(session.details.starts_at) {
        "UTC"
    } else {
        session.details.zone.name()
    };
    let recording = if session.details.record_session { "cloud" } else { "none" };
    let agenda = agenda_with_mark(session.details.description.as_str(), &session.id);
    let mut fields = FieldValues::from([
        (TITLE.to_owned(), session.details.title.as_str().into()),
        (DESCRIPTION.to_owned(), normalized_agenda(&agenda)),
        (STARTS_AT.to_owned(), start_value(session.details.starts_at)),
        (TIMEZONE.to_owned(), zone.into()),
        (DURATION.to_owned(), session.details.duration_minutes.into()),
        (RECORDING.to_owned(), recording.into()),
    ]);
    let settings = &session.details.settings;
    for name in &session.settings_sent {
        fields.insert(format!("{SETTING_PREFIX}{name}"), false.into());
    }
    if let Ok(Value::Object(settings)) = serde_json::to_value(settings) {
        let named = |(name, value)| (format!("{SETTING_PREFIX}{name}"), value);
        fields.extend(settings.into_iter().map(named));
    }
    if session.meeting.has_registration {
        fields.insert(format!("{SETTING_PREFIX}{APPROVAL_TYPE}"), APPROVED_AT_ONCE.into());
    }
    let waiting_room = settings.waiting_room();
    // Zoom turns joining before the host off while the waiting room is on.
    let join_before_host = settings.join_before_host() && !waiting_room;
    for (name, value) in [("waiting_room", waiting_room), ("join_before_host", join_before_host)] {
        fields.insert(format!("{SETTING_PREFIX}{name}"), value.into());
    }
    fields
}

/// Returns whether people register for a meeting and get their personal links at once.
pub fn has_registration(meeting: &MeetingChange) -> bool {
    meeting.settings.get(APPROVAL_TYPE) == Some(&APPROVED_AT_ONCE.into())
}

/// Returns whether the registration of a meeting was changed at Zoom, so that personal links may have ended.
pub fn is_registration_changed(session: &Session) -> bool {
    let name = |field: &String| field.strip_prefix(SETTING_PREFIX) == Some(APPROVAL_TYPE);
    session.drift.iter().any(name)
}

/// Returns the fields that a response or an event of Zoom contains.
pub fn reported_fields(reported: &MeetingChange) -> FieldValues {
    let mut fields = FieldValues::new();
    let mut add = |field: &str, value: Option<Value>| {
        fields.extend(value.map(|value| (field.to_owned(), value)));
    };
    add(TITLE, reported.topic.clone().map(Value::from));
    add(DESCRIPTION, reported.agenda.as_deref().map(normalized_agenda));
    add(STARTS_AT, reported.starts_at.map(start_value));
    add(TIMEZONE, reported.timezone.clone().map(Value::from));
    add(DURATION, reported.duration_minutes.map(Value::from));
    for (name, value) in &reported.settings {
        match name.as_str() {
            AUTO_RECORDING => add(RECORDING, Some(value.clone())),
            name => add(&format!("{SETTING_PREFIX}{name}"), Some(value.clone())),
        }
    }
    fields
}

fn start_value(at: Timestamp) -> Value {
    at.as_second().into()
}

/// Zoom may change line ends and the space around an agenda.
fn normalized_agenda(agenda: &str) -> Value {
    agenda.replace("\r\n", "\n").trim().into()
}

/// Returns for each reported field that the session determines whether it differs.
pub fn compare<'a>(
    session: &Session,
    reported: &'a FieldValues,
) -> impl Iterator<Item = (&'a str, bool)> + use<'a> {
    let expected = expected_fields(session);
    reported.iter().filter_map(move |(field, value)| {
        let expected = expected.get(field)?;
        Some((field.as_str(), expected != value))
    })
}

/// Returns digests of the fields that an edit from `old` to `next` sends, or of all fields if `old` is absent. An edit that
/// Zoom does not answer is recognized by them later.
pub fn edited_digests(old: Option<&Session>, next: &Session) -> BTreeSet<String> {
    let old = old.map(expected_fields).unwrap_or_default();
    let changed = |field: &str, value: &Value| old.get(field) != Some(value);
    digests(next, changed)
}

/// Returns digests of the given fields of a session, or of all fields.
pub fn restored_digests(session: &Session, fields: Option<&BTreeSet<String>>) -> BTreeSet<String> {
    digests(session, |field, _| fields.is_none_or(|fields| fields.contains(field)))
}

fn digests(session: &Session, is_sent: impl Fn(&str, &Value) -> bool) -> BTreeSet<String> {
    let fields = expected_fields(session).into_iter();
    let sent = fields.filter(|(field, value)| is_sent(field, value));
    sent.map(|(field, value)| digest(&field, &value)).collect()
}

fn digest(field: &str, value: &Value) -> String {
    Digest::unframed(&[field.as_bytes(), b"\0", value.to_string().as_bytes()]).hex(DIGEST_DIGITS)
}

/// The differences between a session and its meeting after an edit that Zoom did not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeetingComparison {
    /// Fields with a value of our own unanswered edit, which are set again.
    pub sent_late: BTreeSet<String>,
    /// The drift: fields with other values, which somebody else has set.
    pub drift: Vec<String>,
}

/// Compares a session with its meeting. `sent` are the digests of the values that unanswered edits have sent.
pub fn compare_after_edit(
    session: &Session,
    meeting: &MeetingChange,
    sent: &BTreeSet<String>,
) -> MeetingComparison {
    let reported = reported_fields(meeting);
    let mut sent_late = BTreeSet::new();
    // Fields that Zoom does not report keep their drift.
    let kept = session.drift.iter().filter(|field| !reported.contains_key(*field));
    let mut drift: BTreeSet<String> = kept.filter(|field| *field != DELETED).cloned().collect();
    for (field, is_different) in compare(session, &reported) {
        if !is_different {
            continue;
        }
        if sent.contains(&digest(field, &reported[field])) {
            sent_late.insert(field.to_owned());
        } else if field != TIMEZONE {
            drift.insert(field.to_owned());
        }
    }
    // The account may forbid recording, so sending the setting again does not prove that Zoom records.
    if session.details.record_session && session.drift.iter().any(|field| field == RECORDING) {
        let differs = sent_late.contains(RECORDING);
        drift.extend(differs.then(|| RECORDING.to_owned()));
    }
    MeetingComparison { sent_late, drift: drift.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agenda_keeps_its_mark_within_zooms_limit() {
        let session = SessionId::from_bytes([3; 16]);
        for description in ["", "Bring a pencil.", &"é".repeat(DESCRIPTION_LIMIT_CHARS)] {
            let agenda = agenda_with_mark(description, &session);
            assert!(agenda.ends_with(&agenda_mark(&session)));
            assert!(agenda.chars().count() <= DESCRIPTION_LIMIT_CHARS);
        }
    }

    #[test]
    fn last_mark_of_an_agenda_counts_also_with_text_behind_it() {
        let (own, other) = (SessionId::from_bytes([3; 16]), SessionId::from_bytes([4; 16]));
        let (mark, other_mark) = (agenda_mark(&own), agenda_mark(&other));
        for agenda in [
            mark.clone(),
            format!("{mark}\r\nSee you there!"),
            format!("{other_mark}\n\n{mark}"),
            format!("{mark} [live class nonsense] [live class ses_"),
        ] {
            assert_eq!(marked_session(&agenda).as_ref(), Some(&own), "{agenda}");
        }
        for agenda in ["", "[live class ]", "[live class ses_aaaa]", "Algebra"] {
            assert_eq!(marked_session(agenda), None, "{agenda}");
        }
    }
}
