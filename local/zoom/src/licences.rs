//! Licences: their number per account, changes of a user's licence, plan usage, and the end of meetings without one.

use axum::extract::{Path, State};
use http::HeaderMap;
use serde_json::json;

use super::context::Context;
use super::responses::{ApiError, ApiResult, ok};
use super::settings::Plan;
use super::sim_error::SimError;
use super::state::{Meeting, User, UserOrigin, UserStatus};
use super::user_refusals::{NO_BASIC_USER, NO_LICENCE, refusal};
use super::{Zoom, scopes};

/// Zoom's user types. Only a licensed user has meetings without a time limit.
pub(super) const BASIC: i64 = 1;
pub(super) const LICENSED: i64 = 2;
/// The user can join meetings, but not host them.
pub(super) const WITHOUT_MEETINGS: i64 = 4;

/// Zoom: a meeting of a host without a licence ends after 40 minutes.
const UNLICENSED_SECONDS: i64 = 40 * 60;

/// The reported number of licences of an account without a limit.
const UNLIMITED_HOSTS: usize = 1_000;

/// `GET /accounts/{account}/plans/usage`. Zoom: a standard account uses `me`.
pub(super) async fn plan_usage(
    State(zoom): State<Zoom>,
    Path(account): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::PLAN_USAGE)?;
        let account_id = caller.account_id().to_owned();
        if account != "me" && account != account_id {
            return Err(refusal(200, &account));
        }
        if !context.is_paid(&account_id) {
            return Err(ApiError::paid_accounts_only(&account_id));
        }
        let licensed = |pending: bool| {
            let users = context.counted_users(&account_id, LICENSED);
            users
                .filter(|user| (user.status(context.now) == UserStatus::Pending) == pending)
                .count()
        };
        let (usage, pending) = (licensed(false), licensed(true));
        let hosts = context.state.accounts.get(&account_id).and_then(|account| account.licenses);
        Ok(ok(json!({
            "plan_base": {
                "type": "monthly",
                "hosts": hosts.unwrap_or(UNLIMITED_HOSTS),
                "usage": usage,
                "pending": pending,
            },
        })))
    })
}

impl Context<'_> {
    /// Returns the users of this type that count towards the account's limits, pending ones included.
    fn counted_users(&self, account_id: &str, licence: i64) -> impl Iterator<Item = &User> {
        self.state.users.values().filter(move |user| {
            user.account_id == account_id
                && user.licence == licence
                && user.origin != UserOrigin::SelfRegistered
                && user.status(self.now) != UserStatus::Expired
        })
    }

    /// Checks whether the account has room for one more user of this type.
    pub(super) fn check_licences(&self, account_id: &str, licence: i64) -> Result<(), ApiError> {
        let Some(account) = self.state.accounts.get(account_id) else { return Ok(()) };
        let max = match licence {
            LICENSED => account.licenses,
            BASIC => account.users.basic_users,
            _ => None,
        };
        let Some(max) = max else { return Ok(()) };
        if self.counted_users(account_id, licence).count() < max {
            return Ok(());
        }
        let code = match (licence, account.users.shortage_code) {
            (LICENSED, Some(code)) => code,
            (LICENSED, None) => self.draw(NO_LICENCE),
            _ => self.draw(NO_BASIC_USER),
        };
        Err(refusal(code, &max.to_string()))
    }

    /// Checks whether a user's licence can change.
    pub(super) fn check_licence_change(
        &mut self,
        user: &User,
        licence: i64,
    ) -> Result<(), ApiError> {
        if licence == user.licence {
            return Ok(());
        }
        if user.licence == LICENSED && self.live_meetings(&user.id) > 0 {
            self.state.counts.live_downgrades += 1;
            if !self.user_rules(&user.account_id).allow_live_downgrade {
                return Err(refusal(1108, &user.email));
            }
        }
        self.check_licences(&user.account_id, licence)
    }

    /// Changes a user's licence. If a host loses it during a meeting, the meeting gets the time limit.
    pub(super) fn change_licence(&mut self, user_id: &str, licence: i64) {
        let Some(user) = self.state.users.get_mut(user_id) else { return };
        user.licence = licence;
        // From now on the account's limits apply to the user.
        if user.origin == UserOrigin::SelfRegistered && !user.owner {
            user.origin = UserOrigin::Create;
        }
        let live =
            self.state.meetings.values().filter(|meeting| {
                meeting.host_id == user_id && meeting.active_instance().is_some()
            });
        let live: Vec<_> = live.map(|meeting| meeting.id).collect();
        for meeting_id in live {
            self.limit_unlicensed_meeting(meeting_id);
        }
    }

    pub(super) fn set_licence(&mut self, user_id: &str, is_licensed: bool) {
        if let Some(user) = self.state.users.get_mut(user_id) {
            user.licence = if is_licensed { LICENSED } else { BASIC };
        }
    }

    pub(super) fn live_meetings(&self, host_id: &str) -> usize {
        let hosted = self.state.meetings.values().filter(|meeting| meeting.host_id == host_id);
        hosted.filter(|meeting| meeting.active_instance().is_some()).count()
    }

    /// Checks whether the host can start one more meeting. Zoom: the number depends on the account's plan.
    pub(super) fn check_concurrent_meetings(&self, meeting: &Meeting) -> Result<(), SimError> {
        let Some(host) = self.meeting_host(meeting) else { return Ok(()) };
        if host.origin == UserOrigin::SelfRegistered {
            return Ok(());
        }
        let plan = self.state.accounts.get(&host.account_id).map(|account| account.plan);
        let max = if plan == Some(Plan::Business) { 2 } else { 1 };
        if host.licence == WITHOUT_MEETINGS || !host.active {
            return Err(SimError::conflict("The host cannot start meetings."));
        }
        if self.live_meetings(&host.id) >= max {
            return Err(SimError::conflict("The host runs another meeting."));
        }
        Ok(())
    }

    /// Schedules the end of a meeting in progress if its host has no licence.
    pub(super) fn limit_unlicensed_meeting(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.active_instance() else { return };
        if host.licence == LICENSED || host.origin == UserOrigin::SelfRegistered {
            return;
        }
        let end = instance.started_at.as_second().saturating_add(UNLICENSED_SECONDS);
        let end = jiff::Timestamp::from_second(end).unwrap_or(self.now).max(self.now);
        let uuid = instance.uuid.clone();
        self.state.unlicensed.insert((end, id, uuid));
    }

    /// Ends the meetings whose time limit is over, unless the host got a licence in the meantime. Returns whether there
    /// were any.
    pub(super) fn end_meetings_without_licence(&mut self) -> bool {
        let (now, mut found) = (self.now, false);
        while let Some(limit) = self.state.unlicensed.first()
            && limit.0 <= now
            && let Some((end, id, uuid)) = self.state.unlicensed.pop_first()
        {
            found = true;
            let Some((meeting, host)) = self.meeting_and_host(id) else { continue };
            let is_live = meeting.active_instance().is_some_and(|instance| instance.uuid == uuid);
            if is_live && host.licence != LICENSED {
                // The meeting ended at that time, even if this is the first request since.
                self.now = end;
                self.end_meeting(id);
                self.now = now;
            }
        }
        found
    }
}
