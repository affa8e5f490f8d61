//! Reads the data on which an edit depends.

use std::collections::BTreeMap;

use futures::try_join;

use super::Edit;
use crate::app::error::Error;
use crate::app::session_save::complete::complete_draft;
use crate::app::session_save::limits_of;
use crate::app::session_save::overlap::BookingChange;
use crate::domain::audience::Invitee;
use crate::domain::bookings::Booking;
use crate::domain::directory::Course;
use crate::domain::draft::{Draft, OpenDraft};
use crate::domain::host_status::{HostStatus, WarningSources};
use crate::domain::hosting::Hosting;
use crate::domain::id::{CourseId, UserId};
use crate::domain::link_generation::LinkGeneration;
use crate::domain::plan::{PlanLimits, PlatformSettings};
use crate::domain::platform_host::PlatformHost;
use crate::domain::refusal::Refusal;
use crate::domain::rights::Operation;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::BatchItems;
use crate::store::error::StoreError;
use crate::store::schema::ItemKey;
use crate::store::sessions::SessionRecord;

/// The data for the decision.
pub(in crate::app::session_save) struct EditInputs {
    pub(in crate::app::session_save) record: SessionRecord,
    pub(in crate::app::session_save) invitees: Vec<Invitee>,
    /// The generations of the invitees' guest links.
    pub(in crate::app::session_save) links: BTreeMap<Email, LinkGeneration>,
    pub(in crate::app::session_save) limits: PlanLimits,
    pub(in crate::app::session_save) course: Option<Course>,
    pub(in crate::app::session_save) connection: Option<ZoomConnection>,
    pub(in crate::app::session_save) booking: BookingChange,
    pub(in crate::app::session_save) host_capacity: Option<u32>,
    pub(in crate::app::session_save) platform_host: Option<PlatformHost>,
}

impl EditInputs {
    pub(super) fn warning_sources(&self) -> WarningSources {
        let host = self.connection.as_ref().map(HostStatus::from_connection).unwrap_or_default();
        WarningSources {
            host,
            calendar: self.booking.days.calendar.clone(),
            host_capacity: self.host_capacity,
            platform_host: self.platform_host.clone().map(Box::new),
        }
    }

    /// Returns the session as it was read.
    pub(super) fn into_unchanged(self) -> SessionWithInvitees {
        let warning_sources = self.warning_sources();
        SessionWithInvitees {
            session: self.record.session,
            invitees: self.invitees,
            warning_sources,
        }
    }
}

impl Edit<'_, OpenDraft> {
    /// Loads the data for the decision, and completes the draft.
    pub(super) async fn load_inputs(self) -> Result<(EditInputs, Draft), Error> {
        let Self { services, request, now } = self;
        let course = request.draft.course();
        let mut found = self.read_items(&request.probable_trainer, course).await?;
        let mut record = found.session(&request.session)?.ok_or(Refusal::NotFound)?;
        record.session.check_right(Operation::EditSession, &request.caller)?;
        if record.session.trainer != request.probable_trainer {
            found = self.read_items(&record.session.trainer, course).await?;
            record = found.session(&request.session)?.ok_or(Refusal::NotFound)?;
        }
        record.session.check_editable(now)?;
        let trainer = &record.session.trainer;
        let settings = found.settings()?;
        settings.check_enabled(trainer)?;
        let user = found.user(trainer)?;
        let limits = limits_of(&settings, user.as_ref())?;
        let defaults = user.map(|user| user.defaults).unwrap_or_default();
        let (open, current) = (&request.draft, Some(record.session.provider));
        let draft = complete_draft(services, open, trainer, defaults, current, now).await?;
        let platform_host = async {
            match record.session.meeting.hosting() {
                Hosting::Platform => services.store.platform_host(&record.session.trainer).await,
                Hosting::Trainer => Ok(None),
            }
        };
        let ((invitees, links), booking, platform_host) = try_join!(
            services.store.invitees_with_links(&record.session),
            self.booking_change(&record.session, &draft, &settings),
            platform_host,
        )?;
        let inputs = EditInputs {
            invitees,
            links,
            booking,
            host_capacity: settings.host_capacity,
            platform_host,
            limits,
            course: course.map(|course| found.course(course)).transpose()?.flatten(),
            connection: found.connection(trainer)?,
            record,
        };
        Ok((inputs, draft))
    }

    /// Reads the session, and the data of a trainer and a course on which an edit depends.
    async fn read_items(
        self,
        trainer: &UserId,
        course: Option<&CourseId>,
    ) -> Result<BatchItems, StoreError> {
        let session = ItemKey::Session(&self.request.session);
        let mut keys = vec![session, ItemKey::Settings, ItemKey::User(trainer)];
        keys.extend(course.map(ItemKey::Course));
        if self.request.draft.may_meet_on_zoom() {
            keys.push(ItemKey::ZoomConnection(trainer));
        }
        self.services.store.batch_get(&keys).await
    }

    /// Reads the calendar of the session's host for the change to the times of the draft.
    async fn booking_change(
        self,
        session: &Session,
        draft: &Draft,
        settings: &PlatformSettings,
    ) -> Result<BookingChange, StoreError> {
        let old = Booking::of_session(session);
        let new = old.as_ref().map(|old| Booking::new(&old.host_user, &session.id, &draft.details));
        let days = self.services.store.booked_days(old.iter().chain(&new)).await?;
        let rule = settings.overlap_rule(session.meeting.hosting(), draft.allow_overlap);
        Ok(BookingChange { old, new, days, rule })
    }
}
