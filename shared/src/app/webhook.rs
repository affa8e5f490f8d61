//! Zoom's events. Each is kept first, in one conditional write; that is what is answered for. What follows from it is
//! worked out after, from all that is known, and may be worked out again.

mod grants;
mod recordings;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Services;
use super::error::Error;
use super::meeting;
use crate::domain::attendance::record;
use crate::domain::audience::Audience;
use crate::domain::domain_event::{DomainEvent, EventNonce, DomainEventKind};
use crate::domain::drift;
use crate::domain::id::MeetingId;
use crate::domain::meeting_instance::{self, InstanceEvent};
use crate::domain::reminder::Reminder;
use crate::domain::session::{OVERRUN_MINUTES, Session, Status};
use crate::domain::time::{plus_minutes, whole_milli};
use crate::domain::join_window::{self, JoinState, JoinWindowSettings};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::store::archive::{self, DueArchive};
use crate::store::error::CommitError;
use crate::store::outbox::{self, DueEnd};
use crate::store::sessions::{self, SessionRecord};
use crate::store::tx::{Action, ConditionSubject};

/// Tries against other events of the same meeting.
const ROUNDS: u32 = 8;
const WAIT_MS: u64 = 40;
/// Runnings that a sandbox remembers to be known as live; a trainer's day has a handful.
const REMEMBERED: usize = 4096;

/// Runnings of which this sandbox knows that their class is live, since when it is known to be, and until when it is: from
/// then on the sweep may have ended it. A join in between changes nothing, and is nothing but its own write.
#[derive(Debug, Default)]
pub struct KnownLive(Mutex<HashMap<String, Range<Timestamp>>>);

impl KnownLive {
    fn holds(&self, event: &ZoomEvent) -> bool {
        let (Some(running), Some(at)) = (running_key(event), event.time()) else { return false };
        self.0.lock().is_ok_and(|known| known.get(&running).is_some_and(|live| live.contains(&at)))
    }

    fn remember(&self, event: &ZoomEvent, live: Range<Timestamp>) {
        if let Some(running) = running_key(event)
            && let Ok(mut known) = self.0.lock()
        {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(running, live);
        }
    }
}

/// The running that an event is about. Zoom's uuids are unique; that nobody else's is taken for one of ours should not
/// rest on it.
fn running_key(event: &ZoomEvent) -> Option<String> {
    let (meeting, uuid) = (event.meeting?, event.uuid.as_ref()?);
    Some(format!("{}\n{meeting}\n{uuid}", event.account.as_deref().unwrap_or_default()))
}

/// What taking an event goes by, besides the event.
#[derive(Clone, Copy, Debug)]
pub struct WebhookContext<'a> {
    pub tools: &'a Services,
    pub known_live: &'a KnownLive,
    /// When those invited may come in: before that nobody is told that a class is live.
    pub doors: JoinWindowSettings,
    pub now: Timestamp,
}

/// Keeps an event and does what follows from it. An error means that it was not kept, or that what follows could not
/// be stored: Zoom sends it again, and then nothing is done twice.
pub async fn take(desk: &WebhookContext<'_>, event: &ZoomEvent, body: &Value) -> Result<(), Error> {
    let WebhookContext { tools, known_live, now, .. } = *desk;
    let new = match &event.payload {
        // The user asked to be forgotten; an event that names them would be the first thing to forget.
        EventPayload::Deauthorized { .. } => true,
        _ => tools.store.keep_event(event, body, now).await?,
    };
    if !new && !follows_again(known_live, event) {
        tracing::info!(event = "zoom.event_repeated", name = event.name);
        return Ok(());
    }
    follow(desk, event).await?;
    tracing::info!(event = "zoom.event_taken", name = event.name, new);
    Ok(())
}

/// Whether what follows from an event is done again when it is: a first delivery may have been kept and then cut off.
/// From a person's coming follows something only while nobody knows the class to be live, and from their going nothing.
fn follows_again(known_live: &KnownLive, event: &ZoomEvent) -> bool {
    match event.payload {
        EventPayload::Joined(_) => running_key(event).is_some() && !known_live.holds(event),
        EventPayload::Left(_) | EventPayload::Nothing | EventPayload::Challenge { .. } => false,
        _ => true,
    }
}

async fn follow(desk: &WebhookContext<'_>, event: &ZoomEvent) -> Result<(), Error> {
    let WebhookContext { tools, known_live, .. } = *desk;
    let running = || event.uuid.as_deref().zip(event.meeting);
    match &event.payload {
        EventPayload::Started { at } => match running() {
            Some((uuid, meeting)) => signs(desk, event, meeting, uuid, InstanceEvent::Running(*at)).await,
            None => Ok(()),
        },
        EventPayload::Joined(presence) => match running() {
            // The start may have been lost, and then the first join stands for it.
            Some((uuid, meeting)) if !known_live.holds(event) => {
                signs(desk, event, meeting, uuid, InstanceEvent::Running(presence.at)).await
            }
            _ => Ok(()),
        },
        EventPayload::Ended { started_at, at } => match running() {
            Some((uuid, meeting)) => {
                let sign = InstanceEvent::Ended { started_at: *started_at, at: *at };
                signs(desk, event, meeting, uuid, sign).await
            }
            None => Ok(()),
        },
        EventPayload::Deleted | EventPayload::Recovered | EventPayload::Updated(_) => drifts(desk, event).await,
        EventPayload::RecordingCompleted { passcode, files } => {
            recordings::describe(desk, event, passcode.as_deref(), files).await
        }
        EventPayload::RecordingIs { state, files } => recordings::place(desk, event, *state, files).await,
        EventPayload::Deauthorized { user } => grants::forget(tools, user, event).await,
        EventPayload::UserDeactivated { user } => grants::deactivate(desk, user, event).await,
        EventPayload::Left(_) | EventPayload::Challenge { .. } | EventPayload::Nothing => Ok(()),
    }
}

/// The class that an event is about, if it is one of the account that hosts it.
async fn class_of(tools: &Services, event: &ZoomEvent) -> Result<Option<SessionRecord>, Error> {
    let Some(meeting) = event.meeting else { return Ok(None) };
    let held = tools.store.session_of_meeting(meeting).await?;
    Ok(held.filter(|held| {
        held.session.meeting.id == Some(meeting) && is_of_account(&held.session, event)
    }))
}

/// Whether an event comes from the account that hosts the class's meeting.
pub fn is_of_account(session: &Session, event: &ZoomEvent) -> bool {
    session.meeting.account.is_none() || event.account == session.meeting.account
}

/// Puts what an event says of a running among what is known, and stores what that makes of the class.
async fn signs(
    desk: &WebhookContext<'_>,
    event: &ZoomEvent,
    meeting: MeetingId,
    uuid: &str,
    sign: InstanceEvent,
) -> Result<(), Error> {
    let held = change(desk, event, |held| {
        let session = &held.session;
        let occurrences = meeting_instance::with_event(session.meeting_instances.clone(), uuid, sign);
        let next = session.clone().with_meeting_instances(occurrences);
        if next.status != session.status {
            tracing::info!(event = "session.status", session_id = %session.id, meeting_id = %meeting, status = next.status.as_str());
        }
        let begins = next.status == Status::Live && session.status != Status::Live;
        // A rehearsal is nobody's news. Where it is still on when the class should begin, the sweep tells.
        let open = join_window::join_window(&next, desk.doors, false, desk.now).state == JoinState::Open;
        let tells = (begins && open && next.audience != Audience::Standalone).then_some(Tells::Live);
        // Should nobody tell when it is over, the sweep will find that it must be.
        let ending = begins.then(|| {
            let door_closes = plus_minutes(next.ends_at(), desk.doors.after_end);
            let at = next.over_at().max(door_closes).max(plus_minutes(since(sign), OVERRUN_MINUTES));
            DueEnd { session: next.id.clone(), at }
        });
        (next != *session).then_some(Turned { next, tells, ending })
    })
    .await?;
    if let Some(class) = held.as_ref().filter(|class| record::may_be_kept(class, desk.now)) {
        // Its attendance may have been kept without this.
        desk.tools.store.commit_one(archive::set_due(&DueArchive::of(class))).await?;
    }
    if let InstanceEvent::Running(at) = sign {
        let known = held
            .as_ref()
            .and_then(|class| class.meeting_instances.iter().find(|occurrence| occurrence.uuid == uuid));
        // A meeting without a class will have none a moment later either.
        let since = known.map_or(at, |occurrence| occurrence.started_at);
        let until = held.as_ref().map_or(Timestamp::MAX, Session::over_at);
        desk.known_live.remember(event, since..until);
    }
    Ok(())
}

/// The time that a sign is of.
fn since(sign: InstanceEvent) -> Timestamp {
    match sign {
        InstanceEvent::Running(at) | InstanceEvent::Ended { at, .. } => at,
    }
}

/// What an event makes of a class, and what of that is told.
struct Turned {
    next: Session,
    tells: Option<Tells>,
    /// Of a class that begins: when to look whether it is over.
    ending: Option<DueEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// Those invited, that the class is live: once, whether its meeting or its planned start comes first.
    Live,
    /// The trainer, that somebody deleted the meeting.
    MeetingDeleted,
}

impl Turned {
    /// The announcement, and what is done with it: a reminder is taken so that it is made once, and who takes it sees to what
    /// comes after the class, as the sweep would. `revision` tells apart what the same meeting goes through twice.
    fn announcement(&self, revision: u64, now: Timestamp) -> Option<(DomainEvent, Vec<Action>)> {
        let Session { id, starts_at, version, trainer, .. } = &self.next;
        let (what, with) = match self.tells? {
            Tells::Live => {
                let reminder = Reminder::Start;
                let what = DomainEventKind::Reminder {
                    session: id.clone(),
                    reminder,
                    starts_at: *starts_at,
                    version: *version,
                };
                let take = outbox::take_reminder(id, reminder, *starts_at);
                (what, vec![take, archive::set_due(&DueArchive::of(&self.next))])
            }
            Tells::MeetingDeleted => {
                let (session, trainer, turn) = (id.clone(), trainer.clone(), EventNonce(revision));
                (DomainEventKind::MeetingDeleted { session, trainer, turn }, Vec::new())
            }
        };
        Some((DomainEvent { at: whole_milli(now), kind: what }, with))
    }
}

/// Stores what `decide` makes of the class, with its announcement, and answers the class as it is then; decides anew
/// when other events were quicker. `None` when no class is meant.
async fn change(
    desk: &WebhookContext<'_>,
    event: &ZoomEvent,
    decide: impl Fn(&SessionRecord) -> Option<Turned>,
) -> Result<Option<Session>, Error> {
    let WebhookContext { tools, now, .. } = *desk;
    let mut told = false;
    for _ in 0..ROUNDS {
        let Some(held) = class_of(tools, event).await? else { return Ok(None) };
        let Some(turned) = decide(&held) else { return Ok(Some(held.session)) };
        let follow = sessions::follow_meeting(&turned.next, held.meeting_revision);
        let committed = match turned.announcement(held.meeting_revision, now).filter(|_| !told) {
            None => match &turned.ending {
                None => tools.store.commit_one(follow).await,
                Some(ending) => tools.store.commit(vec![follow, ending.set()]).await,
            },
            Some((announcement, with)) => {
                let mut actions = vec![follow, outbox::announce(&announcement)];
                actions.extend(turned.ending.as_ref().map(DueEnd::set));
                actions.extend(with);
                let committed = tools.store.commit(actions).await;
                if committed.is_ok() {
                    tools.send_wake_up(&announcement).await;
                }
                committed
            }
        };
        match committed {
            Ok(()) => return Ok(Some(turned.next)),
            Err(CommitError::Refused(subjects)) if subjects == [ConditionSubject::Due] => told = true,
            Err(CommitError::Refused(_)) => {
                tokio::time::sleep(Duration::from_millis(WAIT_MS + tools.random.below(WAIT_MS)))
                    .await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the class keeps changing"))
}

/// Flags what somebody changed of the meeting at Zoom. Only how people come in is taken over: Zoom goes by its own link
/// and passcode whatever we hold, so that what we hand out must be those.
async fn drifts(desk: &WebhookContext<'_>, event: &ZoomEvent) -> Result<(), Error> {
    let WebhookContext { tools, now, .. } = *desk;
    let entrance = match &event.payload {
        EventPayload::Updated(changed) if !changed.entrance.is_unsaid() => Some(&changed.entrance),
        _ => None,
    };
    let secrets = match entrance {
        Some(_) => Some(tools.secrets.get(now).await?),
        None => None,
    };
    let keyring = secrets.as_ref().map(|secrets| secrets.keyring()).transpose()?;
    let Some(held) = class_of(tools, event).await? else { return Ok(()) };
    let Some(meeting) = held.session.meeting.id else { return Ok(()) };
    let since = held.session.zoom_told_at;
    let heard = tools.store.meeting_events_since(meeting, since).await?;
    let heard: Vec<_> =
        heard.iter().filter(|kept| is_of_account(&held.session, &kept.event)).collect();
    change(desk, event, |held| {
        let session = &held.session;
        let open = matches!(session.status, Status::Scheduled | Status::Live);
        let under_way = held.claim.as_ref().is_some_and(|claim| claim.until > now);
        let said = heard.iter().map(|kept| (kept.at, &kept.event.payload));
        let drift = drift::drift(session, under_way, said);
        let is_deleted = |drift: &[String]| drift.iter().any(|field| field == drift::DELETED);
        let deleted = is_deleted(&drift) && !is_deleted(&session.drift);
        let tells = deleted.then_some(Tells::MeetingDeleted);
        let differs = open && drift != session.drift;
        let mut next = session.clone();
        if differs {
            next.drift = drift;
        }
        if let (Some(entrance), Some(keyring)) = (entrance, keyring)
            && session.status != Status::Cancelled
        {
            let at = event.at.unwrap_or(now);
            next.meeting = meeting::with_entrance(session, entrance, at, keyring, &tools.random);
        }
        if next.meeting != session.meeting {
            tracing::info!(event = "zoom.entrance_changed", session_id = %session.id);
        }
        let tells = tells.filter(|_| differs);
        (next != *session).then_some(Turned { next, tells, ending: None })
    })
    .await?;
    Ok(())
}
