//! Reads the data on which a creation depends.

use super::Creation;
use super::repeat::is_of_other_body;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::session_save::complete::complete_draft;
use crate::app::session_save::limits_of;
use crate::domain::directory::Course;
use crate::domain::draft::{Draft, OpenDraft};
use crate::domain::hosting::{Hosting, HostingPolicy, PlatformUser};
use crate::domain::plan::{PlanLimits, PlatformSettings};
use crate::domain::platform_host::PlatformHost;
use crate::domain::refusal::Refusal;
use crate::domain::session::Source;
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::intents::Intent;
use crate::store::schema::ItemKey;
use crate::store::sessions::SessionRecord;

/// The data for the decision, read in one batch.
pub(super) struct CreateInputs {
    pub(super) limits: PlanLimits,
    pub(super) settings: PlatformSettings,
    pub(super) course: Option<Course>,
    /// The directory's setting for the trainer.
    pub(super) hosting: Option<Hosting>,
    pub(super) host: Option<PlatformHost>,
    pub(super) connection: Option<ZoomConnection>,
    pub(super) intent: Option<Intent>,
    /// The trainer's defaults that completed the draft.
    pub(super) defaults: SessionDefaults,
}

impl Creation<'_, OpenDraft> {
    /// Loads the data for the decision and completes the draft, or returns the session if it exists already.
    pub(super) async fn load_inputs(
        self,
    ) -> Result<Result<(CreateInputs, Draft), Box<SessionRecord>>, Error> {
        let (id, trainer, draft) = (self.id, &self.request.trainer, &self.request.draft);
        let mut keys = vec![
            ItemKey::Settings,
            ItemKey::User(trainer),
            ItemKey::Session(id),
            ItemKey::Intent(id),
        ];
        let course = draft.course();
        keys.extend(course.map(ItemKey::Course));
        let policy = self.services.hosting.policy;
        if draft.may_meet_on_zoom() {
            if policy != HostingPolicy::Platform {
                keys.push(ItemKey::ZoomConnection(trainer));
            }
            if policy != HostingPolicy::Trainer {
                keys.push(ItemKey::PlatformHost(trainer));
            }
        }
        let mut found = self.services.store.batch_get(&keys).await?;
        if let Some(record) = found.session(id)? {
            return Ok(Err(Box::new(record)));
        }
        let settings = found.settings()?;
        settings.check_enabled(trainer)?;
        let user = found.user(trainer)?;
        let limits = limits_of(&settings, user.as_ref()).map_err(|refusal| self.named(refusal))?;
        let (hosting, defaults) =
            user.map(|user| (user.hosting, user.defaults)).unwrap_or_default();
        let intent = found.intent(id)?;
        let same = intent.as_ref().filter(|intent| !is_of_other_body(intent, self.request));
        let defaults = same.map_or(defaults, |intent| intent.defaults.clone());
        let (services, now) = (self.services, self.now);
        let completed =
            complete_draft(services, draft, trainer, defaults.clone(), None, now).await?;
        let inputs = CreateInputs {
            limits,
            course: course.map(|course| found.course(course)).transpose()?.flatten(),
            hosting,
            host: found.platform_host(trainer)?,
            connection: found.connection(trainer)?,
            intent,
            defaults,
            settings,
        };
        Ok(Ok((inputs, completed)))
    }
}

impl Creation<'_, OpenDraft> {
    /// Returns a refusal as the caller needs it: the platform's service has named the trainer.
    fn named(self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::UnknownTrainer if self.request.source != Source::Manual => {
                Refusal::field("trainer_id", "is not a user of the directory")
            }
            refusal => refusal,
        }
    }
}

impl CreateInputs {
    /// Returns the access to Zoom of the new meeting's host. An earlier attempt may have created the meeting with the
    /// host of its time, and the repair of that attempt deletes it.
    pub(super) async fn zoom_access(&self, creation: Creation<'_>) -> Result<ZoomAccess, Error> {
        let Creation { services, request, .. } = creation;
        let user = self.host.as_ref().and_then(PlatformHost::active_user);
        match services.hosting.policy.decide(self.hosting, user.is_some()) {
            Hosting::Trainer => {
                services.usable_access(&request.trainer, self.connection.clone()).await
            }
            Hosting::Platform => {
                let host = self.host.as_ref().zip(user).ok_or(Refusal::NoActiveHost)?;
                let (PlatformHost { account, .. }, id) = host;
                let account = account.clone().unwrap_or_default();
                services.account_access(&PlatformUser { id: id.clone(), account }).await
            }
        }
    }
}
