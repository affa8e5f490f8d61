//! One request at Zoom: what it remembers, its settings, its randomness and the time, for as long as the lock is held.

use std::collections::BTreeSet;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use shared::random::Random;

use super::ZoomConfig;
use super::answers::{Refusal, instant};
use super::ids;
use super::memory::{Account, Holder, Meeting, Memory, Page, Plan, User};
use super::scopes::{Category, Operation};

/// Zoom: a `next_page_token` lives 15 minutes.
const PAGE_TOKEN_SECONDS: i64 = 15 * 60;

pub(super) struct Desk<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) config: &'a ZoomConfig,
    pub(super) random: &'a Random,
    pub(super) now: Timestamp,
}

/// Who asks, once the token has been looked at.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    holder: Holder,
    account_id: String,
    scopes: BTreeSet<String>,
    operation: Operation,
}

impl Caller {
    fn may(&self, own: bool) -> Result<(), Refusal> {
        if self.operation.opened_by(own, |scope| self.scopes.contains(scope)) {
            return Ok(());
        }
        Err(Refusal::missing_scopes(&self.operation.wanted(own)))
    }
}

impl Desk<'_> {
    pub(super) fn after(&self, seconds: i64) -> Timestamp {
        Timestamp::from_second(self.now.as_second().saturating_add(seconds))
            .unwrap_or(Timestamp::MAX)
    }

    /// Zoom: the token first, then the limits, then the scopes, and only then what was asked.
    pub(super) fn caller(
        &mut self,
        headers: &HeaderMap,
        operation: Operation,
    ) -> Result<Caller, Refusal> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.memory.access_tokens.get(token))
            .ok_or_else(|| Refusal::bad_token("Invalid access token."))?;
        if token.expires_at <= self.now {
            return Err(Refusal::bad_token("Access token is expired."));
        }
        let (holder, mut scopes) = (token.holder.clone(), token.scopes.clone());
        if let Some(left) = &self.memory.knobs.scopes {
            scopes.retain(|scope| left.contains(scope));
        }
        let account_id = match &holder {
            Holder::Account(id) => id.clone(),
            Holder::User(id) => self.user_with_id(id)?.account_id.clone(),
        };
        *self.memory.counts.requests.entry(operation.name.to_owned()).or_default() += 1;
        self.spend_second(&account_id, operation.category)?;
        let own = matches!(holder, Holder::User(_));
        let caller = Caller { holder, account_id, scopes, operation };
        caller.may(own)?;
        Ok(caller)
    }

    /// The user that a path names: `me`, an id or an e-mail address.
    pub(super) fn user_in_path(&self, caller: &Caller, named: &str) -> Result<User, Refusal> {
        let unknown = || Refusal::no_such_user(named);
        let user = match (&caller.holder, named) {
            (Holder::User(id), "me") => self.user_with_id(id)?,
            // Zoom: a Server-to-Server token belongs to nobody, so there is no `me`.
            (Holder::Account(_), "me") => return Err(unknown()),
            _ => self
                .memory
                .users
                .values()
                .find(|user| user.id == named || user.email.eq_ignore_ascii_case(named))
                .filter(|user| user.account_id == caller.account_id)
                .ok_or_else(unknown)?,
        };
        caller.may(caller.holder == Holder::User(user.id.clone()))?;
        Ok(user.clone())
    }

    /// The meeting that a path names by its id, if the caller may touch it.
    pub(super) fn meeting_in_path(&self, caller: &Caller, named: &str) -> Result<i64, Refusal> {
        let id: i64 =
            named.parse().map_err(|_| Refusal::invalid_field("meetingId", "Invalid field."))?;
        self.memory
            .meetings
            .get(&id)
            .filter(|meeting| !meeting.deleted && self.reaches(caller, meeting))
            .map(|meeting| meeting.id)
            .ok_or_else(|| Refusal::no_such_meeting(named))
    }

    /// Whether the meeting is the caller's own, or of the account that the caller may act for.
    pub(super) fn reaches(&self, caller: &Caller, meeting: &Meeting) -> bool {
        let own = caller.holder == Holder::User(meeting.host_id.clone());
        let same_account = self
            .memory
            .users
            .get(&meeting.host_id)
            .is_some_and(|host| host.account_id == caller.account_id);
        own || same_account && caller.may(false).is_ok()
    }

    pub(super) fn user_with_id(&self, id: &str) -> Result<&User, Refusal> {
        self.memory.users.get(id).ok_or_else(|| Refusal::no_such_user(id))
    }

    pub(super) fn account(&mut self, id: &str) -> &mut Account {
        self.memory.accounts.entry(id.to_owned()).or_insert_with(|| Account {
            plan: Plan::Pro,
            forbid: BTreeSet::new(),
            licenses: None,
        })
    }

    pub(super) fn is_paid(&self, account_id: &str) -> bool {
        self.memory.accounts.get(account_id).is_none_or(|account| account.plan == Plan::Pro)
    }

    /// Zoom: limits per second are per account, all apps together.
    fn spend_second(&mut self, account_id: &str, category: Category) -> Result<(), Refusal> {
        let Some(qps) = self.memory.knobs.qps else { return Ok(()) };
        let limit = match category {
            Category::Light => qps.light,
            Category::Medium => qps.medium,
            Category::Heavy => qps.heavy,
        };
        let Some(limit) = limit else { return Ok(()) };
        let (second, asked) = (self.now.as_second(), &mut self.memory.asked);
        if self.memory.second != second {
            self.memory.second = second;
            asked.clear();
        }
        let known = asked.iter_mut().find(|(id, kind, _)| id == account_id && *kind == category);
        match known {
            Some((_, _, count)) if *count < limit => *count += 1,
            None if limit > 0 => asked.push((account_id.to_owned(), category, 1)),
            _ => {
                let message = "You have reached the maximum per-second rate limit for this API. \
                               Try again later.";
                let refusal = limited(category, "QPS", limit, 4001, message);
                let seconds = self.memory.knobs.qps_retry_after_seconds;
                return Err(match seconds {
                    Some(seconds) => refusal.with_header("Retry-After", seconds.to_string()),
                    None => refusal,
                });
            }
        }
        Ok(())
    }

    /// Whether the host has a create or update left today. Zoom: per host and UTC day, and `Retry-After` is the
    /// instant at which the next day begins, not a number of seconds.
    pub(super) fn may_write(&self, host_id: &str, category: Category) -> Result<(), Refusal> {
        let limit = self.memory.knobs.daily_limit;
        if self.written_today(host_id) < limit {
            return Ok(());
        }
        let message =
            format!("You have exceeded the daily limit ({limit}) of creates and updates.");
        let midnight = self.today().tomorrow().and_then(|day| {
            day.to_zoned(jiff::tz::TimeZone::UTC).map(|midnight| midnight.timestamp())
        });
        let refusal = limited(category, "Daily-limit", limit, 429, &message);
        Err(refusal.with_header("Retry-After", instant(midnight.unwrap_or(self.now))))
    }

    pub(super) fn count_write(&mut self, host_id: &str) {
        let count = self.written_today(host_id) + 1;
        self.memory.written.insert(host_id.to_owned(), (self.today(), count));
    }

    fn written_today(&self, host_id: &str) -> u32 {
        let today = self.today();
        self.memory
            .written
            .get(host_id)
            .map_or(0, |(day, count)| if *day == today { *count } else { 0 })
    }

    fn today(&self) -> jiff::civil::Date {
        jiff::tz::Offset::UTC.to_datetime(self.now).date()
    }

    /// A token that goes on with `of` at `offset`.
    pub(super) fn next_page(&mut self, of: String, offset: usize) -> String {
        let now = self.now;
        self.memory.pages.retain(|_, page| page.expires_at > now);
        let token = ids::user_id(self.random);
        let expires_at = self.after(PAGE_TOKEN_SECONDS);
        self.memory.pages.insert(token.clone(), Page { of, offset, expires_at });
        token
    }

    /// Where `token` goes on with `of`; an empty token is the first page.
    pub(super) fn page_offset(&self, of: &str, token: &str) -> Result<usize, Refusal> {
        if token.is_empty() {
            return Ok(0);
        }
        self.memory
            .pages
            .get(token)
            .filter(|page| page.of == of && page.expires_at > self.now)
            .map(|page| page.offset)
            .ok_or_else(Refusal::expired_page)
    }
}

fn limited(category: Category, kind: &str, limit: u32, code: u32, message: &str) -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, code, message)
        .with_header("X-RateLimit-Category", category.name())
        .with_header("X-RateLimit-Type", kind)
        .with_header("X-RateLimit-Limit", limit.to_string())
        .with_header("X-RateLimit-Remaining", "0")
}
