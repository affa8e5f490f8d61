//! Classes: the stored shape, the writes that change one, and the lists.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, value};
use super::schema::{ItemKey, attr, by_start, course_partition, index, trainer_partition};
use super::tx::{Action, ItemChanges, Guard, Item, number, text};
use super::{BatchItems, ItemPage, KeyRange, Store};
use crate::crypt::Sealed;
use crate::domain::audience::{Audience, InviteeList};
use crate::domain::draft::DURATION_MINUTES;
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::meeting_instance::MeetingInstance;
use crate::domain::session::{JoinCredentialsSeen, Meeting, Provider, Session, Source, Status};
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Title};
use crate::domain::time::{Zone, fixed};

/// How many items a filtered list reads at a time: few matches are found in few requests,
/// and a page of many costs no more than it shows.
const FILTERED_READ: i32 = 200;
/// How many classes are read at a time where one that is still to come settles it.
const FEW: i32 = 5;
/// Requests that one page of a filtered list may take; where they do not fill it, the page is short and its cursor goes on.
const FILTERED_ROUNDS: usize = 10;

#[derive(Serialize, Deserialize)]
struct Stored {
    id: SessionId,
    trainer_id: UserId,
    title: Title,
    #[serde(default = "no_description")]
    description: Description,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_id: Option<CourseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_title: Option<Title>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitee_list: Option<InviteeList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitee_count: Option<usize>,
    starts_at: Timestamp,
    timezone: Zone,
    duration_minutes: u16,
    provider: Provider,
    record_session: bool,
    #[serde(default)]
    settings: MeetingSettings,
    /// Those that are not given any more; the others are among the settings.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    settings_told: BTreeSet<String>,
    status: Status,
    source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meeting_id: Option<MeetingId>,
    join_url: Sealed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passcode: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_url_told_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passcode_told_at: Option<Timestamp>,
    ics_sequence: u32,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Where it is another time than that of the last change: most changes are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_told_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_account: Option<String>,
    #[serde(default)]
    occurrences: Vec<MeetingInstance>,
    #[serde(default)]
    drift: Vec<String>,
}

/// Attributes that a class may lose when it is edited.
const OPTIONAL: [&str; 8] = [
    attr::COURSE_ID,
    "course_title",
    "invitee_list",
    "invitee_count",
    attr::G2PK,
    attr::G2SK,
    attr::SETTINGS_TOLD,
    "zoom_told_at",
];

/// Attributes that follow from Zoom's events, under a revision of their own ([`follow_meeting`]).
const OF_EVENTS: [&str; 5] =
    [attr::STATUS, attr::OCCURRENCES, attr::DRIFT, attr::ACTUAL_STARTED_AT, attr::ACTUAL_ENDED_AT];

/// Attributes of a class on Zoom that only Zoom changes, at the create and by its events ([`follow_meeting`]).
const OF_ENTRANCE: [&str; 4] =
    [attr::JOIN_URL, attr::PASSCODE, attr::JOIN_URL_TOLD_AT, attr::PASSCODE_TOLD_AT];

#[expect(clippy::expect_used, reason = "the empty description is one")]
fn no_description() -> Description {
    Description::parse("").expect("an empty description is within its limit")
}

/// A class, and what the store keeps about it for its own purposes.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    pub session: Session,
    /// Rises with everything that Zoom's events change, which the version does not count.
    pub meeting_revision: u64,
    /// The hash of the body that made it, by which a repeated create is told from another one.
    pub created_from: Option<String>,
    /// An edit that is talking to Zoom, or one that died on the way.
    pub claim: Option<EditLease>,
}

/// The right to change a class at Zoom, for a short while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditLease {
    pub holder: String,
    pub until: Timestamp,
}

#[derive(Deserialize)]
struct StoredBookkeeping {
    #[serde(default)]
    meeting_revision: u64,
    #[serde(default)]
    created_from: Option<String>,
    #[serde(default)]
    claim: Option<String>,
    #[serde(default)]
    claim_until: Option<Timestamp>,
}

impl From<Session> for Stored {
    fn from(s: Session) -> Self {
        let (course_id, course_title, invitee_list, invitee_count) = match s.audience {
            Audience::Standalone => (None, None, None, None),
            Audience::Course { id, title } => (Some(id), Some(title), None, None),
            Audience::Invitees { list, count } => (None, None, Some(list), Some(count)),
        };
        Self {
            id: s.id,
            trainer_id: s.trainer,
            title: s.title,
            description: s.description,
            course_id,
            course_title,
            invitee_list,
            invitee_count,
            starts_at: s.starts_at,
            timezone: s.zone,
            duration_minutes: s.duration_minutes,
            provider: s.provider,
            record_session: s.record_session,
            settings_told: &s.settings_told - &s.settings.given(),
            settings: s.settings,
            status: s.status,
            source: s.source,
            meeting_id: s.meeting.id,
            join_url: s.meeting.join_url,
            passcode: s.meeting.passcode,
            join_url_told_at: s.meeting.told.join_url,
            passcode_told_at: s.meeting.told.passcode,
            ics_sequence: s.ics_sequence,
            version: s.version,
            created_at: s.created_at,
            updated_at: s.updated_at,
            zoom_told_at: (s.zoom_told_at != s.updated_at).then_some(s.zoom_told_at),
            cancelled_at: s.cancelled_at,
            actual_started_at: s.actual_started_at,
            actual_ended_at: s.actual_ended_at,
            zoom_account: s.meeting.account,
            occurrences: s.meeting_instances,
            drift: s.drift,
        }
    }
}

impl From<Stored> for Session {
    fn from(s: Stored) -> Self {
        let audience = match (s.course_id, s.course_title, s.invitee_list) {
            (Some(id), Some(title), _) => Audience::Course { id, title },
            (_, _, Some(list)) => Audience::Invitees { list, count: s.invitee_count.unwrap_or(0) },
            _ => Audience::Standalone,
        };
        Self {
            id: s.id,
            trainer: s.trainer_id,
            title: s.title,
            description: s.description,
            audience,
            starts_at: s.starts_at,
            zone: s.timezone,
            duration_minutes: s.duration_minutes,
            provider: s.provider,
            record_session: s.record_session,
            settings_told: &s.settings_told | &s.settings.given(),
            settings: s.settings,
            status: s.status,
            source: s.source,
            meeting: Meeting {
                account: s.zoom_account,
                id: s.meeting_id,
                join_url: s.join_url,
                passcode: s.passcode,
                told: JoinCredentialsSeen { join_url: s.join_url_told_at, passcode: s.passcode_told_at },
            },
            ics_sequence: s.ics_sequence,
            version: s.version,
            created_at: s.created_at,
            updated_at: s.updated_at,
            zoom_told_at: s.zoom_told_at.unwrap_or(s.updated_at),
            cancelled_at: s.cancelled_at,
            actual_started_at: s.actual_started_at,
            actual_ended_at: s.actual_ended_at,
            meeting_instances: s.occurrences,
            drift: s.drift,
        }
    }
}

fn encode_session(session: &Session) -> Item {
    let place = by_start(session.starts_at, &session.id);
    let mut item = encode(&Stored::from(session.clone()));
    item.insert(attr::G1PK.to_owned(), text(trainer_partition(&session.trainer)));
    item.insert(attr::G1SK.to_owned(), text(place.clone()));
    if let Some(course) = session.audience.course() {
        item.insert(attr::G2PK.to_owned(), text(course_partition(course)));
        item.insert(attr::G2SK.to_owned(), text(place));
    }
    item
}

fn decode_session(item: Item) -> Result<Session, StoreError> {
    decode::<Stored>(item).map(Session::from)
}

fn decode_held(item: Item) -> Result<SessionRecord, StoreError> {
    let around: StoredBookkeeping = decode(item.clone())?;
    let claim = around.claim.zip(around.claim_until).map(|(holder, until)| EditLease { holder, until });
    Ok(SessionRecord {
        session: decode_session(item)?,
        meeting_revision: around.meeting_revision,
        created_from: around.created_from,
        claim,
    })
}

/// Stores a new class; refused when there is one of that id.
pub fn create(session: &Session, created_from: &str) -> Action {
    let mut item = encode_session(session);
    item.insert("created_from".to_owned(), text(created_from));
    Action::put(ItemKey::Session(&session.id), item, Guard::new_item())
}

/// What an edit goes by when it is stored.
#[derive(Clone, Copy, Debug)]
pub struct UpdateBasis<'a> {
    /// The class as it was read.
    pub read: &'a SessionRecord,
    /// The right under which Zoom was told, if it was told anything.
    pub claim: Option<&'a str>,
    /// Whether the edit says anew what differs at Zoom, because Zoom was told all of the class, or was asked.
    pub sets_drift: bool,
}

/// Stores what an edit made of a class; refused when it is no longer as it was read, or when another edit has it in hand.
/// What Zoom's events say of the class is not the edit's to write: they may have said more since it was read.
pub fn update(next: &Session, basis: &UpdateBasis<'_>) -> Action {
    let mut item = encode_session(next);
    item.retain(|name, _| !OF_EVENTS.contains(&name.as_str()));
    if next.provider == Provider::Zoom {
        item.retain(|name, _| !OF_ENTRANCE.contains(&name.as_str()));
    }
    let mut changes =
        ItemChanges::replace(item, &OPTIONAL).remove(attr::CLAIM).remove(attr::CLAIM_UNTIL);
    let mut guard = Guard::new()
        .equals(attr::VERSION, number(basis.read.session.version))
        .equals(attr::STATUS, text("scheduled"));
    guard = match basis.claim {
        Some(holder) => guard.equals(attr::CLAIM, text(holder)),
        None => guard.absent(attr::CLAIM),
    };
    if basis.sets_drift {
        changes = changes.set(attr::DRIFT, value(&next.drift));
        // A flag that came meanwhile, as of a meeting that is gone, is not taken away unread.
        guard = at_revision(guard, basis.read.meeting_revision);
    }
    Action::update(ItemKey::Session(&next.id), changes, guard)
}

/// The class's events have changed nothing since that revision.
fn at_revision(guard: Guard, revision: u64) -> Guard {
    match revision {
        0 => guard.absent(attr::MEETING_REVISION),
        revision => guard.equals(attr::MEETING_REVISION, number(revision)),
    }
}

/// Takes the right to change a class at Zoom until `until`; refused while another holds it. `settings_told` are the
/// settings that Zoom may know of from then on, whatever becomes of the change.
pub fn claim(
    session: &Session,
    settings_told: &BTreeSet<String>,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::CLAIM, text(holder))
        .set(attr::CLAIM_UNTIL, text(fixed(until)))
        .set(attr::SETTINGS_TOLD, value(settings_told));
    let guard =
        Guard::new().equals(attr::VERSION, number(session.version)).free_at(attr::CLAIM_UNTIL, now);
    Action::update(ItemKey::Session(&session.id), changes, guard)
}

/// Gives that right back, if it is still `holder`'s.
pub fn release(session: &SessionId, holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::CLAIM).remove(attr::CLAIM_UNTIL);
    Action::update(ItemKey::Session(session), changes, Guard::new().equals(attr::CLAIM, text(holder)))
}

/// Lets `holder`'s right run out at once, leaving the sign that Zoom may know something else than we do.
pub fn expire_claim(session: &SessionId, holder: &str, now: Timestamp) -> Action {
    let changes = ItemChanges::new().set(attr::CLAIM_UNTIL, text(fixed(now)));
    Action::update(ItemKey::Session(session), changes, Guard::new().equals(attr::CLAIM, text(holder)))
}

/// Stores a cancellation; refused when the class is no longer as it was read.
pub fn cancel(next: &Session, read_version: u64) -> Action {
    let cancelled_at = next.cancelled_at.unwrap_or(next.updated_at);
    let changes = ItemChanges::new()
        .set(attr::STATUS, text("cancelled"))
        .set(attr::CANCELLED_AT, text(cancelled_at.to_string()))
        .set(attr::UPDATED_AT, text(next.updated_at.to_string()))
        .set(attr::ICS_SEQUENCE, number(next.ics_sequence))
        .set(attr::VERSION, number(next.version))
        .remove(attr::CLAIM)
        .remove(attr::CLAIM_UNTIL);
    Action::update(
        ItemKey::Session(&next.id),
        changes,
        Guard::new().equals(attr::VERSION, number(read_version)),
    )
}

#[derive(Serialize)]
struct StoredMeeting<'a> {
    session_id: &'a SessionId,
    trainer_id: &'a UserId,
}

/// Points from a Zoom meeting to its class, so that Zoom's events find it.
pub fn point_from_meeting(meeting: MeetingId, session: &SessionId, trainer: &UserId) -> Action {
    let item = encode(&StoredMeeting { session_id: session, trainer_id: trainer });
    Action::put(ItemKey::Meeting(meeting), item, Guard::new())
}

/// Stores what Zoom's events make of a class; refused when other events have been quicker.
pub fn follow_meeting(next: &Session, read_revision: u64) -> Action {
    let time = |changes: ItemChanges, name: &'static str, at: Option<Timestamp>| match at {
        Some(at) => changes.set(name, text(at.to_string())),
        None => changes.remove(name),
    };
    let changes = ItemChanges::new()
        .set(attr::STATUS, text(next.status.as_str()))
        .set(attr::OCCURRENCES, value(&next.meeting_instances))
        .set(attr::DRIFT, value(&next.drift))
        .set(attr::MEETING_REVISION, number(read_revision + 1));
    let changes = time(changes, attr::ACTUAL_STARTED_AT, next.actual_started_at);
    let changes = time(changes, attr::ACTUAL_ENDED_AT, next.actual_ended_at);
    let changes = entrance(changes, &next.meeting);
    // A cancellation that came between must not be undone: its version differs.
    let guard =
        at_revision(Guard::new().equals(attr::VERSION, number(next.version)), read_revision);
    Action::update(ItemKey::Session(&next.id), changes, guard)
}

/// How people come in, where Zoom told of it; otherwise it stays as it is.
fn entrance(mut changes: ItemChanges, meeting: &Meeting) -> ItemChanges {
    if let Some(at) = meeting.told.join_url {
        changes = changes
            .set(attr::JOIN_URL, text(meeting.join_url.as_str()))
            .set(attr::JOIN_URL_TOLD_AT, text(at.to_string()));
    }
    if let (Some(at), Some(passcode)) = (meeting.told.passcode, &meeting.passcode) {
        changes = changes
            .set(attr::PASSCODE, text(passcode.as_str()))
            .set(attr::PASSCODE_TOLD_AT, text(at.to_string()));
    }
    changes
}

#[derive(Deserialize)]
struct Pointer {
    session_id: SessionId,
}

/// What a list of classes is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    pub status: Option<Status>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// A class's place in a list by start: where a page ended. It holds no partition: whose list it is
/// follows from who asks, so that no cursor leads into another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    pub starts_at: Timestamp,
    pub id: SessionId,
}

impl SessionCursor {
    pub fn of(session: &Session) -> Self {
        Self { starts_at: session.starts_at, id: session.id.clone() }
    }
}

impl Store {
    pub async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.get(ItemKey::Session(id)).await?.map(decode_held).transpose()
    }

    /// A class as some replica knows it, at half the price; one that is not found is looked for again at the source.
    pub async fn session_eventually_consistent(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        match self.get_eventually(ItemKey::Session(id)).await? {
            Some(item) => decode_held(item).map(Some),
            None => self.session(id).await,
        }
    }

    /// The class behind a Zoom meeting.
    pub async fn session_of_meeting(&self, meeting: MeetingId) -> Result<Option<SessionRecord>, StoreError> {
        let Some(pointer) = self.get(ItemKey::Meeting(meeting)).await? else { return Ok(None) };
        self.session(&decode::<Pointer>(pointer)?.session_id).await
    }

    pub async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut found = self.batch_get(&keys).await?;
        ids.iter().filter_map(|id| found.take(ItemKey::Session(id))).map(decode_session).collect()
    }

    /// A trainer's classes by start, and where the next page begins.
    pub async fn sessions_of_trainer(
        &self,
        trainer: &UserId,
        narrow: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let range = listing(index::BY_OWNER, trainer_partition(trainer), narrow, after);
        self.page(range, limit).await
    }

    /// A course's classes by start, of one trainer or of all, and where the next page begins.
    pub async fn sessions_of_course(
        &self,
        course: &CourseId,
        trainer: Option<&UserId>,
        narrow: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let mut range = listing(index::BY_AUDIENCE, course_partition(course), narrow, after);
        range.filter.extend(trainer.map(|trainer| (attr::TRAINER_ID, text(trainer.as_str()))));
        self.page(range, limit).await
    }

    /// The classes of a range, as far as one request reads.
    pub(super) async fn sessions_in(&self, range: KeyRange) -> Result<Vec<Session>, StoreError> {
        self.query(range).await?.items.into_iter().map(decode_session).collect()
    }

    /// A course's classes that are on or still to come.
    pub async fn upcoming(
        &self,
        course: &CourseId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let classes = self.query_all(on_or_to_come(course, now)).await?.into_iter();
        let classes: Vec<_> = classes.map(decode_session).collect::<Result<_, _>>()?;
        Ok(classes.into_iter().filter(|class| class.is_ahead(now)).collect())
    }

    /// Whether a course has any of those.
    pub async fn has_upcoming(
        &self,
        course: &CourseId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut range = KeyRange { limit: Some(FEW), ..on_or_to_come(course, now) };
        loop {
            let ItemPage { items, last } = self.query(range.clone()).await?;
            for item in items {
                if decode_session(item)?.is_ahead(now) {
                    return Ok(true);
                }
            }
            match last {
                Some(last) => range.after = Some(last),
                None => return Ok(false),
            }
        }
    }

    async fn page(
        &self,
        mut range: KeyRange,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let whole = i32::try_from(limit).unwrap_or(i32::MAX);
        range.limit = Some(if range.filter.is_empty() { whole } else { whole.max(FILTERED_READ) });
        let mut sessions: Vec<Session> = Vec::new();
        for _ in 0..FILTERED_ROUNDS {
            let ItemPage { items, last } = self.query(range.clone()).await?;
            for item in items {
                if sessions.len() == limit {
                    return Ok((sessions.clone(), sessions.last().map(SessionCursor::of)));
                }
                sessions.push(decode_session(item)?);
            }
            match last {
                None => return Ok((sessions, None)),
                Some(position) if sessions.len() == limit => {
                    return Ok((sessions, place_of(&position)));
                }
                Some(position) => range.after = Some(position),
            }
        }
        let next = range.after.as_ref().and_then(place_of);
        Ok((sessions, next))
    }
}

/// Those that may not be over: a class lasts a day's work at most.
fn on_or_to_come(course: &CourseId, now: Timestamp) -> KeyRange {
    let longest = SignedDuration::from_mins(*DURATION_MINUTES.end());
    let from = now.saturating_sub(longest).unwrap_or(now);
    let narrow = SessionFilter { from: Some(from), ..SessionFilter::default() };
    listing(index::BY_AUDIENCE, course_partition(course), &narrow, None)
}

fn listing(index: &'static str, pk: String, narrow: &SessionFilter, after: Option<&SessionCursor>) -> KeyRange {
    // A bound like the others, not DynamoDB's own start key: that one is refused as an error when it lies outside the
    // range, as with a cursor of another `from`. '!' sorts behind the end of a key and before whatever could follow it.
    let behind = after.map(|place| format!("{}!", by_start(place.starts_at, &place.id)));
    KeyRange {
        index: Some(index),
        from: narrow.from.map(fixed).max(behind),
        // '~' sorts behind the '#' that follows the time in a key: a start at `to` itself is still in.
        to: narrow.to.map(|to| format!("{}~", fixed(to))),
        filter: narrow
            .status
            .map(|status| (attr::STATUS, text(status.as_str())))
            .into_iter()
            .collect(),
        pk,
        ..KeyRange::default()
    }
}

/// The place that a query's last key stands for.
fn place_of(position: &Item) -> Option<SessionCursor> {
    let key = position.get(attr::G1SK).or_else(|| position.get(attr::G2SK))?.as_s().ok()?;
    let (starts_at, id) = key.split_once('#')?;
    Some(SessionCursor { starts_at: starts_at.parse().ok()?, id: SessionId::parse(id)? })
}

impl BatchItems {
    pub(crate) fn session(&mut self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.take(ItemKey::Session(id)).map(decode_held).transpose()
    }
}
