//! Reads the data on which an edit depends.

use super::Edit;
use crate::app::error::Error;
use crate::domain::audience::{AudienceDraft, Invitee};
use crate::domain::directory::Course;
use crate::domain::draft::Venue;
use crate::domain::host_status::HostStatus;
use crate::domain::plan::PlanLimits;
use crate::domain::refusal::Refusal;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::schema::ItemKey;
use crate::store::sessions::SessionRecord;

/// The data for the decision.
pub(in crate::app::session_save) struct EditInputs {
    pub(in crate::app::session_save) record: SessionRecord,
    pub(in crate::app::session_save) invitees: Vec<Invitee>,
    pub(in crate::app::session_save) limits: PlanLimits,
    pub(in crate::app::session_save) course: Option<Course>,
    pub(in crate::app::session_save) connection: Option<ZoomConnection>,
}

impl EditInputs {
    pub(super) fn host_status(&self) -> HostStatus {
        self.connection.as_ref().map(HostStatus::from_connection).unwrap_or_default()
    }

    /// Returns the session as it was read.
    pub(super) fn into_unchanged(self) -> SessionWithInvitees {
        let host = self.host_status();
        SessionWithInvitees { session: self.record.session, invitees: self.invitees, host }
    }
}

impl Edit<'_> {
    pub(super) async fn load_inputs(self) -> Result<EditInputs, Error> {
        let Self { services, request, now } = self;
        let trainer = &request.caller.id;
        let mut keys =
            vec![ItemKey::Session(&request.session), ItemKey::Settings, ItemKey::User(trainer)];
        let course = match &request.draft.audience {
            AudienceDraft::Course(course) => Some(course),
            _ => None,
        };
        keys.extend(course.map(ItemKey::Course));
        if request.draft.venue == Venue::Zoom {
            keys.push(ItemKey::ZoomConnection(trainer));
        }
        let mut found = services.store.batch_get(&keys).await?;
        let record = found.session(&request.session)?.ok_or(Refusal::NotFound)?;
        record.session.check_owned_by(&request.caller)?;
        record.session.check_editable(now)?;
        let settings = found.settings()?;
        settings.check_enabled(trainer)?;
        let user = found.user(trainer)?;
        Ok(EditInputs {
            invitees: services.store.invitees_of_session(&record.session).await?,
            limits: settings.plan_limits(user.as_ref().and_then(|user| user.plan.as_deref()))?,
            course: course.map(|course| found.course(course)).transpose()?.flatten(),
            connection: found.connection(trainer)?,
            record,
        })
    }
}
