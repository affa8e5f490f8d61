//! The calls to Zoom of each task.

use jiff::{SignedDuration, Timestamp};

use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::domain::id::ZoomUserId;
use crate::domain::platform_host::{
    FoundUser, HostCreation, HostOutcome, HostReason, HostTask, LicenceMode, PlatformHost,
    ZoomUserRemoval,
};
use crate::zoom::users::{
    AccountUser, NewAccountUser, UserError, UserPath, UserRefusal, UserStatus,
};
use crate::zoom::{Access, Zoom, ZoomError};

/// Calls about the users of the account, with one token for a run.
#[derive(Debug)]
pub(super) struct AccountUsers<'a> {
    tools: &'a Services,
    /// `None` if the account's credentials were refused or are not configured. Every host of the run then waits.
    access: Option<ZoomAccess>,
    /// The wait for the daily limit of invitations, once the run has reached it.
    daily_limit: Option<SignedDuration>,
}

/// A call about a user.
#[derive(Clone, Copy, Debug)]
enum Call<'a> {
    Read(UserPath<'a>),
    Create(HostCreation, NewAccountUser<'a>),
    SetLicence(&'a ZoomUserId, bool),
    SetActive(&'a ZoomUserId, bool),
    Disassociate(UserPath<'a>),
}

impl Call<'_> {
    /// Sends the call. A read returns the user.
    async fn send(
        self,
        zoom: &Zoom,
        access: &Access,
        now: Timestamp,
    ) -> Result<Option<AccountUser>, UserError> {
        match self {
            Self::Read(user) => return zoom.account_user(access, user, now).await.map(Some),
            Self::Create(creation, user) => {
                zoom.create_account_user(access, creation, user, now).await?;
            }
            Self::SetLicence(user, is_licensed) => {
                zoom.set_licence(access, user, is_licensed, now).await?;
            }
            Self::SetActive(user, is_active) => {
                zoom.set_user_active(access, user, is_active, now).await?;
            }
            Self::Disassociate(user) => zoom.disassociate_user(access, user, now).await?,
        }
        Ok(None)
    }
}

/// The reason why a task ends before its last call.
enum Ended {
    Outcome(HostOutcome),
    Refusal(UserRefusal),
}

impl From<HostOutcome> for Ended {
    fn from(outcome: HostOutcome) -> Self {
        Self::Outcome(outcome)
    }
}

impl Ended {
    /// Returns the outcome of a refusal that the task does not expect.
    fn outcome(self) -> HostOutcome {
        match self {
            Self::Outcome(outcome) => outcome,
            Self::Refusal(refusal) => HostOutcome::Refused(refusal.reason()),
        }
    }

    /// Treats a user that the account does not have as one without a licence, and repeats other refusals: Zoom keeps the
    /// licence of a host who is live.
    fn unless_user_is_gone(self) -> Result<(), Self> {
        match self {
            Self::Refusal(refusal) if is_gone(refusal) => Ok(()),
            Self::Refusal(_) => Err(HostOutcome::Unanswered.into()),
            ended => Err(ended),
        }
    }
}

fn is_gone(refusal: UserRefusal) -> bool {
    matches!(
        refusal,
        UserRefusal::NoSuchUser
            | UserRefusal::Refused { reason: HostReason::InvitationExpired, .. }
    )
}

impl<'a> AccountUsers<'a> {
    pub(super) async fn new(tools: &'a Services) -> Self {
        let access = match tools.account_admin_access().await {
            Ok(access) => Some(access),
            Err(error) => {
                tracing::warn!(event = "host.account_unusable", %error);
                None
            }
        };
        Self { tools, access, daily_limit: None }
    }

    /// Carries out the task of a host.
    pub(super) async fn carry_out(&mut self, host: &PlatformHost) -> HostOutcome {
        self.run(host).await.unwrap_or_else(Ended::outcome)
    }

    /// Deactivates a user, or withdraws the invitation of one who has not accepted it.
    pub(super) async fn deactivate(&mut self, user: &ZoomUserId) -> HostOutcome {
        self.end_use(UserPath::Id(user), Some(user), ZoomUserRemoval::Deactivate)
            .await
            .unwrap_or_else(Ended::outcome)
    }

    async fn run(&mut self, host: &PlatformHost) -> Result<HostOutcome, Ended> {
        if let Some(former) = &host.former_user {
            self.set_licence(former, false).await.or_else(Ended::unless_user_is_gone)?;
        }
        let task = host.work.as_ref().map(|work| work.task);
        match task {
            Some(HostTask::Remove { zoom }) => self.remove(host, zoom).await,
            Some(HostTask::CheckInvitation) => {
                let user = self.user(UserPath::Email(&host.email)).await?;
                self.adopt(host, user).await
            }
            Some(HostTask::Provision) | None => self.provision(host).await,
        }
    }

    /// Adopts the user with the address, or creates one.
    async fn provision(&mut self, host: &PlatformHost) -> Result<HostOutcome, Ended> {
        let path = UserPath::Email(&host.email);
        match self.user(path).await {
            Ok(user) => return self.adopt(host, user).await,
            Err(Ended::Refusal(UserRefusal::NoSuchUser))
                if host.creation == HostCreation::Existing =>
            {
                return Ok(HostOutcome::Refused(HostReason::NotFound));
            }
            // An expired invitation does not prevent a new one.
            Err(Ended::Refusal(refusal))
                if is_gone(refusal) && host.creation != HostCreation::Existing => {}
            Err(ended) => return Err(ended),
        }
        let is_new = match self.create(host).await {
            Ok(()) => true,
            // Another run has created the user, or the address belongs to another account.
            Err(Ended::Refusal(UserRefusal::AddressInUse)) => false,
            Err(ended) => return Err(ended),
        };
        match self.user(path).await {
            Ok(user) => self.adopt(host, user).await,
            Err(Ended::Refusal(UserRefusal::NoSuchUser)) if is_new => Ok(HostOutcome::Unanswered),
            Err(Ended::Refusal(UserRefusal::NoSuchUser)) => {
                Ok(HostOutcome::Refused(HostReason::ExistsElsewhere))
            }
            Err(ended) => Err(ended),
        }
    }

    async fn create(&mut self, host: &PlatformHost) -> Result<(), Ended> {
        if let Some(after) = self.daily_limit.filter(|_| host.creation == HostCreation::Invite) {
            return Err(HostOutcome::Limited { after }.into());
        }
        let tools = self.tools;
        let person = tools.store.user(&host.trainer).await.map_err(|error| {
            tracing::warn!(event = "host.name_unreadable", trainer_id = %host.trainer, %error);
            HostOutcome::Unanswered
        })?;
        let user = NewAccountUser {
            email: &host.email,
            name: person.as_ref().map(|person| &person.name),
            is_licensed: host.licence == LicenceMode::Permanent,
        };
        let created = self.call(Call::Create(host.creation, user)).await.map(drop);
        if let Err(Ended::Outcome(HostOutcome::Limited { after })) = created
            && host.creation == HostCreation::Invite
        {
            self.daily_limit = Some(after);
        }
        created
    }

    /// Activates a user of the account and sets the licence.
    async fn adopt(
        &mut self,
        host: &PlatformHost,
        user: AccountUser,
    ) -> Result<HostOutcome, Ended> {
        let mut found =
            FoundUser { is_licensed: user.is_licensed(), user: user.id, account: user.account_id };
        if user.status == UserStatus::Pending {
            return Ok(HostOutcome::Pending(found));
        }
        let Some(id) = found.user.clone() else { return Ok(HostOutcome::Unanswered) };
        if user.status == UserStatus::Inactive {
            self.set_active(&id, true).await?;
        }
        match host.licence_to_set(found.is_licensed) {
            None => {}
            Some(true) => match self.set_licence(&id, true).await {
                Ok(()) => found.is_licensed = true,
                Err(Ended::Refusal(UserRefusal::Refused { reason, .. })) => {
                    return Ok(HostOutcome::Unlicensed { found, reason });
                }
                Err(ended) => return Err(ended),
            },
            Some(false) => {
                self.set_licence(&id, false).await.or_else(Ended::unless_user_is_gone)?;
                found.is_licensed = false;
            }
        }
        Ok(HostOutcome::Ready(found))
    }

    async fn remove(
        &mut self,
        host: &PlatformHost,
        zoom: ZoomUserRemoval,
    ) -> Result<HostOutcome, Ended> {
        match (&host.zoom_user, zoom) {
            (Some(user), ZoomUserRemoval::Keep) if host.is_licensed_or_changing() => {
                self.set_licence(user, false).await.or_else(Ended::unless_user_is_gone)?;
                Ok(HostOutcome::Removed)
            }
            (_, ZoomUserRemoval::Keep) => Ok(HostOutcome::Removed),
            (Some(user), _) => self.end_use(UserPath::Id(user), Some(user), zoom).await,
            // A pending user may have no id yet, and an earlier run may have died after it created one.
            (None, _) => {
                let path = UserPath::Email(&host.email);
                match self.user(path).await {
                    Ok(user) => self.end_use(path, user.id.as_ref(), zoom).await,
                    Err(Ended::Refusal(refusal)) if is_gone(refusal) => Ok(HostOutcome::Removed),
                    Err(ended) => Err(ended),
                }
            }
        }
    }

    /// Deactivates or disassociates a user. A user who has not accepted an invitation cannot be deactivated, so the
    /// invitation is withdrawn instead.
    async fn end_use(
        &mut self,
        path: UserPath<'_>,
        user: Option<&ZoomUserId>,
        zoom: ZoomUserRemoval,
    ) -> Result<HostOutcome, Ended> {
        if let (Some(user), ZoomUserRemoval::Deactivate) = (user, zoom) {
            match self.set_active(user, false).await {
                Ok(()) => return Ok(HostOutcome::Removed),
                Err(Ended::Refusal(UserRefusal::NoSuchUser)) => {}
                Err(ended) => return Err(ended),
            }
        }
        match self.call(Call::Disassociate(path)).await {
            Ok(_) => Ok(HostOutcome::Removed),
            Err(Ended::Refusal(refusal)) if is_gone(refusal) => Ok(HostOutcome::Removed),
            // Zoom uses the code of a blocked domain for users of managed domains, who cannot leave.
            Err(Ended::Refusal(UserRefusal::Refused { .. })) => {
                Ok(HostOutcome::Refused(HostReason::NotAllowed))
            }
            Err(ended) => Err(ended),
        }
    }

    async fn user(&mut self, path: UserPath<'_>) -> Result<AccountUser, Ended> {
        self.call(Call::Read(path)).await?.ok_or_else(|| HostOutcome::Unanswered.into())
    }

    async fn set_licence(&mut self, user: &ZoomUserId, is_licensed: bool) -> Result<(), Ended> {
        self.call(Call::SetLicence(user, is_licensed)).await.map(drop)
    }

    async fn set_active(&mut self, user: &ZoomUserId, is_active: bool) -> Result<(), Ended> {
        self.call(Call::SetActive(user, is_active)).await.map(drop)
    }

    /// Sends a call. If Zoom rejects the token, repeats it once with a new one.
    async fn call(&mut self, call: Call<'_>) -> Result<Option<AccountUser>, Ended> {
        let Some(access) = &self.access else { return Err(HostOutcome::Unanswered.into()) };
        let Services { zoom, clock, .. } = self.tools;
        match call.send(zoom, &access.access, clock.now()).await {
            Err(UserError::Failed(ZoomError::Unauthorized)) => {
                self.access = self.renewed(access).await;
                let Some(access) = &self.access else { return Err(HostOutcome::Unanswered.into()) };
                call.send(zoom, &access.access, clock.now()).await.map_err(ended)
            }
            result => result.map_err(ended),
        }
    }

    async fn renewed(&self, refused: &ZoomAccess) -> Option<ZoomAccess> {
        let renewed: Result<_, Error> = self.tools.renewed_access(refused).await;
        renewed.inspect_err(|error| tracing::warn!(event = "host.account_unusable", %error)).ok()
    }
}

fn ended(error: UserError) -> Ended {
    match error {
        UserError::Refused(refusal) => Ended::Refusal(refusal),
        UserError::Failed(ZoomError::RateLimited { retry_after }) => {
            let after = SignedDuration::try_from(retry_after).unwrap_or(SignedDuration::MAX);
            HostOutcome::Limited { after }.into()
        }
        UserError::Failed(error) => {
            tracing::warn!(event = "host.call_failed", %error);
            HostOutcome::Unanswered.into()
        }
    }
}
