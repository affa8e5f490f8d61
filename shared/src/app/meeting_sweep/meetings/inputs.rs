//! The data on which the making of a meeting depends, and the choice of its host.

use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::domain::hosting::{Hosting, HostingPolicy, PlatformUser};
use crate::domain::id::ZoomUserId;
use crate::domain::plan::PlatformSettings;
use crate::domain::platform_host::PlatformHost;
use crate::domain::refusal::Refusal;
use crate::domain::session::Meeting;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::schema::ItemKey;
use crate::store::sessions::SessionRecord;

pub(super) struct MeetingInputs {
    pub(super) record: SessionRecord,
    pub(super) settings: PlatformSettings,
    /// The directory's setting for the trainer.
    hosting: Option<Hosting>,
    host: Option<PlatformHost>,
    connection: Option<ZoomConnection>,
}

impl MeetingInputs {
    pub(super) async fn load(tools: &Services, record: SessionRecord) -> Result<Self, Error> {
        let trainer = &record.session.trainer;
        let mut keys = vec![ItemKey::Settings, ItemKey::User(trainer)];
        if tools.hosting.policy != HostingPolicy::Platform {
            keys.push(ItemKey::ZoomConnection(trainer));
        }
        if tools.hosting.policy != HostingPolicy::Trainer {
            keys.push(ItemKey::PlatformHost(trainer));
        }
        let mut found = tools.store.batch_get(&keys).await?;
        Ok(Self {
            settings: found.settings()?,
            hosting: found.user(trainer)?.and_then(|user| user.hosting),
            host: found.platform_host(trainer)?,
            connection: found.connection(trainer)?,
            record,
        })
    }

    fn active_user(&self) -> Option<&ZoomUserId> {
        self.host.as_ref().and_then(PlatformHost::active_user)
    }

    /// Returns the hosting. The host of the session stays as long as it can host. Otherwise it is decided again, because
    /// there is no meeting yet that belongs to it.
    pub(super) fn hosting(&self, policy: HostingPolicy) -> Hosting {
        let Meeting { host_user, platform_user, .. } = &self.record.session.meeting;
        let connected = self.connection.as_ref().and_then(|it| it.zoom_user.pseudonym());
        match (platform_user, host_user) {
            (Some(user), _) if self.active_user() == Some(user) => Hosting::Platform,
            (None, Some(user)) if connected.as_ref() == Some(user) => Hosting::Trainer,
            _ => policy.decide(self.hosting, self.active_user().is_some()),
        }
    }

    pub(super) async fn zoom_access(
        &self,
        tools: &Services,
        hosting: Hosting,
    ) -> Result<ZoomAccess, Error> {
        let zoom_access = match hosting {
            Hosting::Trainer => {
                let trainer = &self.record.session.trainer;
                tools.usable_access(trainer, self.connection.clone()).await?
            }
            Hosting::Platform => {
                let (host, id) =
                    self.host.as_ref().zip(self.active_user()).ok_or(Refusal::NoActiveHost)?;
                let account = host.account.clone().unwrap_or_default();
                tools.account_access(&PlatformUser { id: id.clone(), account }).await?
            }
        };
        zoom_access.require_scope("meeting:write:meeting")?;
        Ok(zoom_access)
    }
}
