//! Meetings at Zoom, in the trainer's or the platform's own account.

mod body;
mod passcode;
mod update;

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

pub(super) use self::body::patch;

use self::body::meeting_body;
use self::passcode::passcode;
use super::{MeetingError, MeetingPlan, MeetingProvider, MeetingUpdate, NewMeeting};
use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::zoom_access::with_token;
use crate::domain::hosting::Hosting;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::meeting_checks::ListedMeeting;
use crate::domain::meeting_fields;
use crate::domain::refusal::Refusal;
use crate::domain::scope;
use crate::domain::zoom_connection::ZoomConnection;
use crate::domain::zoom_event::MeetingChange;
use crate::zoom::{AutoRecording, MarkedMeeting, MeetingBody, ZoomMeeting};

/// Zoom's meeting API with the token for the meeting's host.
#[derive(Debug)]
pub struct ZoomMeetings<'a> {
    services: &'a Services,
    zoom_access: ZoomAccess,
    /// The meeting as it was read after a change.
    read_after_change: Option<ZoomMeeting>,
}

impl<'a> ZoomMeetings<'a> {
    pub fn new(services: &'a Services, zoom_access: ZoomAccess) -> Self {
        Self { services, zoom_access, read_after_change: None }
    }

    /// Returns the Zoom user of the token. The changes count towards this user's daily limit.
    pub fn zoom_user(&self) -> &str {
        &self.zoom_access.zoom_user().id
    }

    /// Returns the hosting of the meetings.
    pub fn hosting(&self) -> Hosting {
        self.zoom_access.hosting()
    }

    /// Returns whether people can be registered for the host's meetings. Without the scope nobody could get a personal link,
    /// and Zoom would ask everybody to register.
    pub fn can_register(&self) -> bool {
        self.zoom_access.require_scope(scope::REGISTER).is_ok()
    }

    /// Finds the meetings at Zoom that carry the session's mark. A meeting that belongs to another session is left out,
    /// because somebody may have copied an agenda.
    pub async fn find_marked_meetings(
        &mut self,
        session: &SessionId,
        topic: &str,
        starts_at: Timestamp,
    ) -> Result<Vec<MarkedMeeting>, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        let mut marked: Vec<MarkedMeeting> =
            with_token!(services, *zoom_access, |access| services.zoom.find_marked_meetings(
                access,
                session,
                topic,
                starts_at,
                services.clock.now()
            ))?;
        // A meeting can be on two pages of a list that changes meanwhile.
        let mut seen = HashSet::new();
        marked.retain(|meeting| seen.insert(meeting.id));
        if !marked.is_empty() {
            let ids: Vec<_> = marked.iter().map(|meeting| meeting.id).collect();
            let owners = services.store.owners_of_meetings(&ids).await.map_err(Error::from)?;
            marked.retain(|meeting| owners.get(&meeting.id).is_none_or(|owner| owner == session));
        }
        Ok(marked)
    }

    /// Returns the host's upcoming meetings that carry the mark of any session.
    pub async fn marked_meetings(&mut self) -> Result<Vec<ListedMeeting>, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        with_token!(services, *zoom_access, |access| services
            .zoom
            .marked_meetings(access, services.clock.now()))
    }

    /// Returns the connection with whose token the calls are made. `None` if the platform hosts.
    pub fn connection(&self) -> Option<&ZoomConnection> {
        self.zoom_access.connection()
    }

    /// Returns the fields of a meeting.
    pub async fn fields(&mut self, id: MeetingId) -> Result<MeetingChange, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        with_token!(services, *zoom_access, |access| services.zoom.meeting(
            access,
            id,
            services.clock.now()
        ))
        .map(|meeting| meeting.fields)
    }

    /// Adopts the first meeting that carries the session's mark, and deletes any others. A meeting that the grant does
    /// not allow to read is deleted too, because its passcode is unknown.
    pub async fn adopt(&mut self, plan: &MeetingPlan) -> Result<Option<NewMeeting>, MeetingError> {
        let mut adopted = None;
        let marked = self
            .find_marked_meetings(
                &plan.session,
                plan.details.title.as_str(),
                plan.details.starts_at,
            )
            .await?;
        for MarkedMeeting { id, details } in marked {
            match details.filter(|_| adopted.is_none()) {
                Some(details) => {
                    let reported = details.fields.starts_at;
                    let meeting = new_meeting(&self.zoom_access, details);
                    let start_differs = self.correct_start(plan, id, reported).await;
                    adopted = Some(NewMeeting { start_differs, ..meeting });
                }
                None => self.cancel(Some(id), false).await?,
            }
        }
        if adopted.is_some() {
            tracing::info!(event = "zoom.meeting_adopted", session_id = %plan.session);
        }
        Ok(adopted)
    }

    /// Deletes the meetings that carry the session's mark. They may have other values than the plan.
    pub async fn delete_marked_meetings(&mut self, plan: &MeetingPlan) -> Result<(), MeetingError> {
        let details = &plan.details;
        let (topic, starts_at) = (details.title.as_str(), details.starts_at);
        let marked = self.find_marked_meetings(&plan.session, topic, starts_at).await?;
        for meeting in marked {
            self.cancel(Some(meeting.id), false).await?;
        }
        Ok(())
    }
}

/// Converts a meeting that Zoom returned.
fn new_meeting(zoom_access: &ZoomAccess, created: ZoomMeeting) -> NewMeeting {
    NewMeeting {
        account: zoom_access.zoom_user().account().map(str::to_owned),
        host_user: zoom_access.zoom_user().pseudonym(),
        platform_user: zoom_access.platform_user().cloned(),
        id: Some(created.id),
        is_recorded: is_recorded(&created),
        // Zoom drops the setting if the host has no licence.
        has_registration: zoom_access.platform_user().is_some()
            && meeting_fields::has_registration(&created.fields),
        join_url: created.join_url,
        passcode: created.passcode,
        start_differs: false,
    }
}

/// Returns whether Zoom will record the meeting. Zoom silently drops recording if the account forbids it.
fn is_recorded(created: &ZoomMeeting) -> Option<bool> {
    let cloud = serde_json::to_value(AutoRecording::Cloud).ok()?;
    created.fields.settings.get(meeting_fields::AUTO_RECORDING).map(|actual| *actual == cloud)
}

impl ZoomMeetings<'_> {
    /// Returns whether Zoom will record a meeting. `None` if Zoom did not report it.
    pub async fn is_recorded(&mut self, id: MeetingId) -> Option<bool> {
        if let Some(meeting) = self.read_after_change.take() {
            return is_recorded(&meeting);
        }
        let Self { services, zoom_access, .. } = self;
        let read = with_token!(services, *zoom_access, |access| services.zoom.meeting(
            access,
            id,
            services.clock.now()
        ));
        match read {
            Ok(meeting) => is_recorded(&meeting),
            Err(error) => {
                log_optional_failure("zoom.meeting_not_read", id, &error);
                None
            }
        }
    }
}

impl MeetingProvider for ZoomMeetings<'_> {
    async fn create(&mut self, plan: &MeetingPlan) -> Result<NewMeeting, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        let requested =
            MeetingBody { password: Some(passcode(&services.random)), ..meeting_body(plan) };
        let created = with_token!(services, *zoom_access, |access| services.zoom.create_meeting(
            access,
            &requested,
            services.clock.now()
        ))?;
        log_dropped_settings(&requested, &created);
        tracing::info!(event = "zoom.meeting_created", session_id = %plan.session, meeting_id = %created.id);
        let (id, reported) = (created.id, created.fields.starts_at);
        let meeting = new_meeting(zoom_access, created);
        let start_differs = self.correct_start(plan, id, reported).await;
        Ok(NewMeeting { start_differs, ..meeting })
    }

    async fn update(
        &mut self,
        meeting: Option<MeetingId>,
        old: Option<&MeetingPlan>,
        new: &MeetingPlan,
    ) -> Result<MeetingUpdate, MeetingError> {
        match (meeting, patch(old, new)) {
            (Some(id), Some(patch)) => self.update_and_check(new, id, &patch).await,
            _ => Ok(MeetingUpdate::NONE),
        }
    }

    async fn cancel(
        &mut self,
        meeting: Option<MeetingId>,
        is_running: bool,
    ) -> Result<(), MeetingError> {
        match meeting {
            Some(id) => self.delete(id, is_running).await.map(drop),
            None => Ok(()),
        }
    }
}

impl ZoomMeetings<'_> {
    /// Deletes a meeting, and ends it before if it is running. Returns whether it existed.
    pub async fn delete(&mut self, id: MeetingId, is_running: bool) -> Result<bool, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        if is_running {
            // Zoom does not delete a meeting while people are in it.
            let ended = with_token!(services, *zoom_access, |access| services.zoom.end_meeting(
                access,
                id,
                services.clock.now()
            ));
            if let Err(error) = ended {
                log_optional_failure("zoom.meeting_not_ended", id, &error);
            }
        }
        let existed = with_token!(services, *zoom_access, |access| services.zoom.delete_meeting(
            access,
            id,
            services.clock.now()
        ))?;
        tracing::info!(event = "zoom.meeting_deleted", meeting_id = %id);
        Ok(existed)
    }
}

/// Logs a failed call that is not essential. A scope that the app does not have to request is not worth a warning.
fn log_optional_failure(event: &str, meeting_id: MeetingId, error: &MeetingError) {
    if matches!(error, MeetingError::Other(Error::Refused(Refusal::MissingScopes(_)))) {
        tracing::info!(event, %meeting_id, %error);
    } else {
        tracing::warn!(event, %meeting_id, %error);
    }
}

/// Logs the requested settings that the account dropped. Zoom responds with 201 in that case too.
fn log_dropped_settings(requested: &MeetingBody, created: &ZoomMeeting) {
    let Ok(Value::Object(requested)) = serde_json::to_value(&requested.settings) else { return };
    let dropped: Vec<_> = requested
        .iter()
        .filter(|(name, value)| {
            created.fields.settings.get(*name).is_some_and(|actual| actual != *value)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if !dropped.is_empty() {
        tracing::warn!(event = "zoom.settings_dropped", meeting_id = %created.id, settings = dropped.join(","));
    }
}
