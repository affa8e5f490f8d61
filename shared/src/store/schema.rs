//! The table schema: access patterns, keys, indexes, attribute names and limits.
//!
//! There are two tables. The tokens table holds Zoom connections, so that IAM keeps a function without rights on it
//! from reading tokens. The main table holds everything else.
//!
//! | access pattern | table or index | key condition | used by |
//! | --- | --- | --- | --- |
//! | session | main | `pk = SESSION#id`, `sk = SESSION` | save, cancel, reads |
//! | session of the host platform's name | main | `pk = REF#name`, `sk = REF` | save, cancel, reads |
//! | creation intent of a session | main | `pk = SESSION#id`, `sk = INTENT` | save, repair |
//! | invitees of a session | main | `pk = SESSION#id`, `sk` begins with `INVITEE#list#` | trainer's view, delivery |
//! | one invitee of a session | main | `pk = SESSION#id`, `sk = INVITEE#list#hash` | reads |
//! | session of a Zoom meeting | main | `pk = MEETING#number`, `sk = MEETING` | webhook |
//! | session of a meeting instance | main | `pk = INSTANCE#hash`, `sk = MEETING` | webhook |
//! | times at which a session's invitations were resent | main | `pk = SESSION#id`, `sk = RESENDS` | resend |
//! | Zoom events of a meeting by time | main | `pk = MEETING#number`, `sk` begins with `EVENT#` | attendance, timeline, operations |
//! | erased people of a meeting | main | `pk = MEETING#number`, `sk` begins with `EVENT#~ERASED#` | attendance, timeline, reminder sweep, operations |
//! | Zoom's lists of participants of a meeting | main | `pk = MEETING#number`, `sk` begins with `EVENT#~REPORT#` | attendance, reconcile sweep, erasure |
//! | join requests with a guest link in a time window | main | `pk = SESSION#id`, `sk = GUEST#pseudonym#window` | join |
//! | join attempts of a session by time | main | `pk = SESSION#id`, `sk` begins with `JOIN_ATTEMPT#` | attendance, timeline, operations |
//! | changes of a session for its trainer, corrections, and clicks to watch, by time | main | `pk = SESSION#id`, `sk` begins with `DELEGATED#` | timeline, erasure |
//! | number of a person's clicks to watch | main | `pk = SESSION#id`, `sk = RECORDING_VIEWS#hash` | save, erasure |
//! | registration of a person for a meeting | main | `pk = SESSION#id`, `sk = LINK#number#hash` | join |
//! | registrations for a session's meeting | main | `pk = SESSION#id`, `sk` begins with `LINK#` | erasure |
//! | sessions with join attempts of a day | main | `pk = ATTEMPTDAY#2026-11-21` | join, operations |
//! | attendance overrides of a session | main | `pk = SESSION#id`, `sk` begins with `OVERRIDE#` | attendance |
//! | audit entries of a session by time | main | `pk = SESSION#id`, `sk` begins with `AUDIT#` | attendance |
//! | attendance archive of a session | main | `pk = SESSION#id`, `sk` begins with `ARCHIVE` | attendance, erasure |
//! | summary of a session's attendance | main | `pk = SESSION#id`, `sk = SUMMARY` | course attendance |
//! | students of a summary by user id | main | `pk = SESSION#id`, `sk` begins with `SUMMARY#` | course attendance, erasure |
//! | polls of a session without their votes | main | `pk = SESSION#id`, `sk = POLLS` | poll |
//! | one vote shard of a poll | main | `pk = POLL#id#shard`, `sk = BALLOTS` | poll, erasure |
//! | recordings of a session | main | `pk = SESSION#id`, `sk` begins with `RECORDING#` | recordings |
//! | user | main | `pk = USER#id`, `sk = USER` | save |
//! | quota that a user has used in a month | main | `pk = USER#id`, `sk = MONTH#2026-11` | save |
//! | user with an email address | main | `pk = EMAIL#hash`, `sk = USER` | delivery |
//! | address of a queued withdrawal | main | `pk = EMAIL#hash`, `sk = ADDRESS` | outbox sweep, erasure |
//! | suppressed addresses | main | `pk = SUPPRESSIONS`, `sk = hash` | outbox sweep, resend, mail events, operations, erasure |
//! | host status of a trainer | main | `pk = USER#id`, `sk = HOST` | both lists, reminder sweep, outbox sweep |
//! | platform host of a trainer | main | `pk = USER#id`, `sk = PLATFORM_HOST` | hosts, meeting sweep, save, join, erasure |
//! | trainer whose platform host has an address | main | `pk = EMAIL#hash`, `sk = PLATFORM_HOST` | hosts |
//! | notification preferences of a user | main | `pk = USER#id`, `sk = PREFERENCES` | delivery, preferences |
//! | in-app notifications of a user by time, unread count | main | `pk = USER#id`, `sk` begins with `NOTIFICATION#` | notifications |
//! | courses of a student | main | `pk = USER#id`, `sk` begins with `ENROLLMENT#` | student's list |
//! | payment | main | `pk = PAYMENT#id`, `sk = PAYMENT` | payments, save, meeting sweep |
//! | classes that a payment has not created yet | main | `pk = PAYMENT#id`, `sk` begins with `CLASS#` | payments, meeting sweep |
//! | payments of a student | main | `pk = USER#id`, `sk` begins with `PAYMENT#` | erasure |
//! | enrollment of a student in a course | main | `pk = USER#id`, `sk = ENROLLMENT#course` | reads |
//! | former enrollment periods of a student | main | `pk = USER#id`, `sk` begins with `ENROLLMENT_PERIOD#` | erasure |
//! | former courses of a student | main | `pk = USER#id`, `sk` begins with `FORMER_ENROLLMENT#` | erasure |
//! | course | main | `pk = COURSE#id`, `sk = COURSE` | save |
//! | settings of the deployment | main | `pk = SETTINGS`, `sk = SETTINGS` | save |
//! | creates and edits of a Zoom user on a day | main | `pk = ZOOMDAY#hash#2026-11-21` | save |
//! | bookings of a Zoom user on a day | main | `pk = BOOKINGS#pseudonym#2026-11-21`, `sk = BOOKINGS` | save, reads |
//! | due reminders and checks | main | `pk = DUE#WORK`, `sk <= now` | reminder sweep |
//! | planned classes of platform hosts | main | `pk = DUE#WORK`, `sk` between | hosts, meeting sweep, join |
//! | due repairs | main | `pk = DUE#REPAIRS`, `sk <= now` | reminder sweep |
//! | pending domain events | main | `pk = DUE#OUTBOX`, `sk <= now` | outbox sweep |
//! | sessions whose attendance is due to be archived | main | `pk = DUE#ARCHIVE`, `sk <= now` | reminder sweep |
//! | sessions whose meeting is due | main | `pk = DUE#MEETINGS`, `sk <= now` | meeting sweep |
//! | due payments | main | `pk = DUE#PAYMENTS`, `sk <= now` | meeting sweep |
//! | runs of sweeps, newest first | main | `pk = RUNS`, `sk` begins with the time | operations, meeting sweep, reconcile sweep |
//! | runs that are not finished | main | `pk = DUE#RUNS` | meeting sweep |
//! | runs of comparisons that are not finished | main | `pk = DUE#RECONCILERUNS` | reconcile sweep |
//! | sessions that are due to be compared with Zoom | main | `pk = DUE#RECONCILE`, `sk <= now` | reconcile sweep |
//! | due tasks of platform hosts | main | `pk = DUE#HOSTS`, `sk <= now` | meeting sweep |
//! | lease of the outbox sweep, pause of the mail service | main | `pk = SWEEP#OUTBOX` | outbox sweep |
//! | claim of a mail | main | `pk = SESSION#id` or `USER#id`, `sk = MAIL#key` | outbox sweep, mail events |
//! | delivery records of a session by time | main | `pk = MAILING#session`, `sk` begins with `DELIVERY#` | timeline, calendar entry, outbox sweep, mail events |
//! | recipient states of a session at a time | main | `pk = MAILING#session`, `sk` begins with `RECIPIENTS#time#` | calendar entry, outbox sweep |
//! | number of a session's mails per delivery status | main | `pk = SESSION#id`, `sk = MAILCOUNT` | trainer's view, calendar entry, outbox sweep, mail events |
//! | sessions of a trainer by start | `by_owner` | `g1pk = TRAINER#id`, `g1sk` between | trainer's list |
//! | students of a course | `by_owner` | `g1pk = COURSE#id`, `g1sk` begins with `STUDENT#` | delivery, course removal |
//! | students of a course since a time | `by_owner` | `g1pk = COURSE#id`, `g1sk` from `FORMER_STUDENT#time` to `STUDENT#` | attendance |
//! | licences that are assigned, Zoom's limit | main | `pk = LICENCES`, `sk = POOL` | hosts, meeting sweep, join |
//! | platform hosts by state | `by_owner` | `g1pk = HOSTS`, `g1sk` begins with the state | hosts |
//! | platform hosts with a licence or a change of one | `by_audience` | `g2pk = LICENSEDHOSTS` | hosts, meeting sweep |
//! | sessions of a course by start | `by_audience` | `g2pk = COURSE#id`, `g2sk` between | both lists |
//! | polls of a course's sessions | `by_audience` | `g2pk = COURSEPOLLS#id` | erasure |
//! | invitations of an address by start | `by_audience` | `g2pk = EMAIL#hash`, `g2sk` between | student's list, erasure |
//! | Zoom connection of a trainer | tokens | `pk = TRAINER#id`, `sk = CONNECTION` | every caller of Zoom |
//! | token of the platform's own Zoom account | tokens | `pk = ACCOUNT#hash`, `sk = TOKEN` | callers of Zoom for classes that the platform hosts |
//! | address of a Zoom user that hosts sessions and is not connected | tokens | `pk = ZOOMHOST#pseudonym`, `sk = ZOOMHOST` | save, join |
//! | trainer of a Zoom user, time at which the user removed the app | tokens | `pk = ZOOMUSER#hash`, `sk = ZOOMUSER` | connect, webhook |
//! | erasure of a person or removal of a course | main | `pk = ERASED#digest`, `sk = ERASED` | erasure, save, connect |
//! | OAuth attempt in progress | tokens | `pk = STATE#nonce`, `sk = STATE` | connect |
//!
//! There are no scans. Keys contain only validated ids (`domain::id`) and hashes, never text that a person typed.

pub mod attr;
mod item_key;
mod key_parts;
pub mod limit;

use strum::IntoStaticStr;

pub use self::item_key::ItemKey;
pub use self::key_parts::*;

/// The main table's indexes. Both project whole items, so that a list takes one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Index {
    ByOwner,
    ByAudience,
}

impl Index {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the attributes of the partition key and of the sort key.
    pub fn key_attributes(self) -> (&'static str, &'static str) {
        match self {
            Self::ByOwner => (attr::G1PK, attr::G1SK),
            Self::ByAudience => (attr::G2PK, attr::G2SK),
        }
    }
}

/// The queues of due work. Each is one partition sorted by time, so that one query returns everything that is due, even
/// items that were stored late. A partition accepts 1,000 write units per second. Saving a session takes ten of them, and
/// the API throttles requests at a tenth of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum DueQueue {
    /// Reminders, end checks and other checks.
    Work,
    /// Repairs. Separate, so that a backlog of them, as after an outage of Zoom, cannot delay reminders.
    Repairs,
    Outbox,
    /// Sessions whose attendance is due to be archived. Separate from the work that people wait for, so that it cannot
    /// delay it.
    Archive,
    /// Sessions with a meeting that is made later. Separate, because Zoom's daily limits let them wait.
    Meetings,
    /// Payments with steps that are left.
    Payments,
    /// Requested runs of the meeting sweep that are not finished.
    Runs,
    /// Requested runs of the reconcile sweep that are not finished.
    ReconcileRuns,
    /// Sessions that are compared with Zoom after their end.
    Reconcile,
    /// Tasks of platform hosts. Each takes requests to Zoom, and the account's limits slow them down.
    Hosts,
}

impl DueQueue {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which table an item is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Main,
    Tokens,
}
