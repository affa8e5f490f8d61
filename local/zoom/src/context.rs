//! The context of one request: the state, the configuration, randomness and the time. It exists while the state is
//! locked.

use std::collections::BTreeSet;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use shared::random::Random;

use super::ZoomConfig;
use super::apps::App;
use super::delivery_fault::DeliveryFaults;
use super::ids;
use super::responses::{ApiError, instant};
use super::scopes::{Category, Operation};
use super::settings::{Plan, UserRules};
use super::state::{Account, Holder, Meeting, Page, User, UserStatus, ZoomState};
use super::user_refusals::refusal;

/// Zoom: a `next_page_token` expires after 15 minutes.
const PAGE_TOKEN_SECONDS: i64 = 15 * 60;

pub(super) struct Context<'a> {
    pub(super) state: &'a mut ZoomState,
    pub(super) config: &'a ZoomConfig,
    pub(super) random: &'a Random,
    pub(super) faults: &'a DeliveryFaults,
    pub(super) now: Timestamp,
}

/// The owner of a valid access token, with its scopes and the requested operation.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    holder: Holder,
    account_id: String,
    scopes: BTreeSet<String>,
    operation: Operation,
}

impl Caller {
    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    pub(super) fn account_id(&self) -> &str {
        &self.account_id
    }

    pub(super) fn require_scope(&self, own: bool) -> Result<(), ApiError> {
        if self.operation.is_allowed_by(own, |scope| self.scopes.contains(scope)) {
            return Ok(());
        }
        Err(ApiError::missing_scopes(&self.operation.required_scopes(own)))
    }
}

impl Context<'_> {
    pub(super) fn after(&self, seconds: i64) -> Timestamp {
        Timestamp::from_second(self.now.as_second().saturating_add(seconds))
            .unwrap_or(Timestamp::MAX)
    }

    /// Zoom checks the token first, then the rate limits, then the scopes, and then the request.
    pub(super) fn authenticate(
        &mut self,
        headers: &HeaderMap,
        operation: Operation,
    ) -> Result<Caller, ApiError> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.state.access_tokens.get(token))
            .ok_or_else(|| ApiError::bad_token("Invalid access token."))?;
        if token.expires_at <= self.now {
            return Err(ApiError::bad_token("Access token is expired."));
        }
        let (holder, mut scopes) = (token.holder.clone(), token.scopes.clone());
        let settings = &self.state.settings;
        let allowed = match holder.app() {
            App::User => &settings.scopes,
            App::Server if !settings.server_app.active => {
                return Err(ApiError::bad_token("Invalid access token."));
            }
            App::Server => &settings.server_app.scopes,
        };
        if let Some(allowed) = allowed {
            scopes.retain(|scope| allowed.contains(scope));
        }
        let account_id = match &holder {
            Holder::Account(id) => id.clone(),
            Holder::User(id) => self.user_with_id(id)?.account_id.clone(),
        };
        *self.state.counts.requests.entry(operation.name.to_owned()).or_default() += 1;
        self.count_request(&account_id, operation.category)?;
        let own = matches!(holder, Holder::User(_));
        let caller = Caller { holder, account_id, scopes, operation };
        caller.require_scope(own)?;
        Ok(caller)
    }

    /// Returns the user in a path: `me`, an id or an e-mail address.
    pub(super) fn user_in_path(&self, caller: &Caller, name: &str) -> Result<User, ApiError> {
        let unknown = || ApiError::no_such_user(name);
        let user = match (&caller.holder, name) {
            (Holder::User(id), "me") => self.user_with_id(id)?,
            // Zoom: a Server-to-Server token belongs to no user, so `me` does not exist.
            (Holder::Account(_), "me") => return Err(unknown()),
            _ => self
                .state
                .users
                .values()
                .find(|user| user.id == name || user.email.eq_ignore_ascii_case(name))
                .filter(|user| user.account_id == caller.account_id)
                .ok_or_else(unknown)?,
        };
        caller.require_scope(caller.holder == Holder::User(user.id.clone()))?;
        if user.status(self.now) == UserStatus::Expired {
            return Err(refusal(1120, name));
        }
        Ok(user.clone())
    }

    /// Returns the user in a path who has meetings. Zoom: for the account's app, a user who is pending or deactivated
    /// does not exist here.
    pub(super) fn host_in_path(&self, caller: &Caller, name: &str) -> Result<User, ApiError> {
        let user = self.user_in_path(caller, name)?;
        let is_active = user.status(self.now) == UserStatus::Active;
        match caller.holder.app() {
            App::Server if !is_active => Err(ApiError::no_such_user(name)),
            _ => Ok(user),
        }
    }

    /// Returns the id of the meeting in a path, if the caller may access the meeting.
    pub(super) fn meeting_in_path(&self, caller: &Caller, name: &str) -> Result<i64, ApiError> {
        let id: i64 =
            name.parse().map_err(|_| ApiError::invalid_field("meetingId", "Invalid field."))?;
        self.state
            .meetings
            .get(&id)
            .filter(|meeting| !meeting.deleted && self.can_access(caller, meeting))
            .map(|meeting| meeting.id)
            .ok_or_else(|| ApiError::no_such_meeting(name))
    }

    /// Returns whether the meeting is the caller's own, or in an account for which the caller may act.
    pub(super) fn can_access(&self, caller: &Caller, meeting: &Meeting) -> bool {
        let own = caller.holder == Holder::User(meeting.host_id.clone());
        let same_account = self
            .state
            .users
            .get(&meeting.host_id)
            .is_some_and(|host| host.account_id == caller.account_id);
        own || same_account && caller.require_scope(false).is_ok()
    }

    pub(super) fn user_with_id(&self, id: &str) -> Result<&User, ApiError> {
        self.state.users.get(id).ok_or_else(|| ApiError::no_such_user(id))
    }

    pub(super) fn account(&mut self, id: &str) -> &mut Account {
        self.state.accounts.entry(id.to_owned()).or_insert_with(|| Account {
            plan: Plan::Pro,
            forbid: BTreeSet::new(),
            licenses: None,
            users: UserRules::default(),
        })
    }

    pub(super) fn is_paid(&self, account_id: &str) -> bool {
        self.state.accounts.get(account_id).is_none_or(|account| account.plan != Plan::Basic)
    }

    /// Zoom: limits per second apply to an account and all its apps together.
    fn count_request(&mut self, account_id: &str, category: Category) -> Result<(), ApiError> {
        let Some(qps) = self.state.settings.qps else { return Ok(()) };
        let limit = match category {
            Category::Light => qps.light,
            Category::Medium => qps.medium,
            Category::Heavy => qps.heavy,
        };
        let Some(limit) = limit else { return Ok(()) };
        let (second, counts) = (self.now.as_second(), &mut self.state.requests_in_second);
        if self.state.current_second != second {
            self.state.current_second = second;
            counts.clear();
        }
        let entry = counts.iter_mut().find(|(id, kind, _)| id == account_id && *kind == category);
        match entry {
            Some((_, _, count)) if *count < limit => *count += 1,
            None if limit > 0 => counts.push((account_id.to_owned(), category, 1)),
            _ => {
                let message = "You have reached the maximum per-second rate limit for this API. \
                               Try again later.";
                let error = rate_limited(category, "QPS", limit, 4001, message);
                let seconds = self.state.settings.qps_retry_after_seconds;
                return Err(match seconds {
                    Some(seconds) => error.with_header("Retry-After", seconds.to_string()),
                    None => error,
                });
            }
        }
        Ok(())
    }

    /// Returns an error if the host has no create or update left today. Zoom: the limit is per host and UTC day, and
    /// `Retry-After` is the time of the next midnight, not a number of seconds.
    pub(super) fn check_daily_limit(
        &self,
        host_id: &str,
        category: Category,
    ) -> Result<(), ApiError> {
        let limit = self.state.settings.daily_limit;
        if self.writes_today(host_id) < limit {
            return Ok(());
        }
        Err(self.daily_limit_reached(category, limit, "creates and updates"))
    }

    pub(super) fn daily_limit_reached(
        &self,
        category: Category,
        limit: u32,
        counted: &str,
    ) -> ApiError {
        let message = format!("You have exceeded the daily limit ({limit}) of {counted}.");
        let midnight = self.today().tomorrow().and_then(|day| {
            day.to_zoned(jiff::tz::TimeZone::UTC).map(|midnight| midnight.timestamp())
        });
        let error = rate_limited(category, "Daily-limit", limit, 429, &message);
        error.with_header("Retry-After", instant(midnight.unwrap_or(self.now)))
    }

    pub(super) fn count_daily_write(&mut self, host_id: &str) {
        let count = self.writes_today(host_id) + 1;
        self.state.daily_writes.insert(host_id.to_owned(), (self.today(), count));
    }

    fn writes_today(&self, host_id: &str) -> u32 {
        let today = self.today();
        self.state
            .daily_writes
            .get(host_id)
            .map_or(0, |(day, count)| if *day == today { *count } else { 0 })
    }

    pub(super) fn today(&self) -> jiff::civil::Date {
        jiff::tz::Offset::UTC.to_datetime(self.now).date()
    }

    pub(super) fn new_meeting_uuid(&self) -> String {
        ids::meeting_uuid(self.random, self.state.settings.uuid_form)
    }

    /// Creates a page token for the entries of `list_key` from `offset` on.
    pub(super) fn create_page_token(&mut self, list_key: String, offset: usize) -> String {
        let now = self.now;
        self.state.pages.retain(|_, page| page.expires_at > now);
        let token = ids::user_id(self.random);
        let expires_at = self.after(PAGE_TOKEN_SECONDS);
        self.state.pages.insert(token.clone(), Page { list_key, offset, expires_at });
        token
    }

    /// Returns the offset of the page token. An empty token is the first page.
    pub(super) fn page_offset(&mut self, list_key: &str, token: &str) -> Result<usize, ApiError> {
        if token.is_empty() {
            return Ok(0);
        }
        if self.state.settings.expired_pages > 0 {
            self.state.settings.expired_pages -= 1;
            self.state.pages.remove(token);
        }
        self.state
            .pages
            .get(token)
            .filter(|page| page.list_key == list_key && page.expires_at > self.now)
            .map(|page| page.offset)
            .ok_or_else(ApiError::expired_page)
    }
}

fn rate_limited(category: Category, kind: &str, limit: u32, code: u32, message: &str) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, code, message)
        .with_header("X-RateLimit-Category", category.name())
        .with_header("X-RateLimit-Type", kind)
        .with_header("X-RateLimit-Limit", limit.to_string())
        .with_header("X-RateLimit-Remaining", "0")
}
