//! Limits of DynamoDB, and our own limits that keep us within them.

/// DynamoDB: actions in one transaction.
pub const TRANSACTION_ACTIONS: usize = 100;
/// DynamoDB: puts and deletes in one `BatchWriteItem`.
pub const BATCH_WRITES: usize = 25;
/// DynamoDB: keys in one `BatchGetItem`.
pub const BATCH_GETS: usize = 100;
/// Invitees that fit into a session's transaction beside its dozen other actions, with room to grow.
pub const INVITEES_IN_TRANSACTION: usize = 75;
/// Days that an expired OAuth attempt is kept. It is valid for ten minutes.
pub const OAUTH_STATE_TTL_DAYS: i64 = 1;
/// Days that the token of replaced account credentials is kept after its end.
pub const ACCOUNT_TOKEN_TTL_DAYS: i64 = 1;
/// Days that the time of a deauthorization is kept. A connect request that exchanged its code before takes less than a
/// minute to store the grant.
pub const DEAUTHORIZATION_TTL_DAYS: i64 = 1;
/// Days that a day's counter of Zoom calls is kept: the day itself and one more for clock differences.
pub const ZOOM_DAY_TTL_DAYS: i64 = 2;
/// Days that the bookings of a day are kept, from its first moment. A session that began on it may be edited until its join
/// window closes.
pub const BOOKINGS_TTL_DAYS: i64 = 4;
/// Days that a month's counter is kept: until no session of that month can change any more.
pub const MONTH_TTL_DAYS: i64 = 800;
/// Days that Zoom's events and the join attempts that they explain are kept, unless the deployment has another setting.
pub const EVENT_TTL_DAYS: i64 = 90;
/// The shortest setting: attendance is archived three days after a session, and a failure may need some days more.
pub const EVENT_TTL_MIN_DAYS: i64 = 7;
/// The longest setting. An erasure looks for traces in the sessions of this time.
pub const EVENT_TTL_MAX_DAYS: i64 = 365;
/// Days that the marker of an erased person is kept longer than the events of the session.
pub const ERASURE_MARKER_EXTRA_DAYS: i64 = 10;
/// Days that delegated actions are kept: as long as the delivery records of the mails that they caused.
pub const DELEGATED_ACTION_TTL_DAYS: i64 = DELIVERY_TTL_DAYS;
/// Days that a personal link is kept after the session.
pub const PERSONAL_LINK_TTL_DAYS: i64 = 1;
/// Days that an in-app notification is shown: about the length of a term.
pub const NOTIFICATION_TTL_DAYS: i64 = 90;
/// DynamoDB deletes an expired item within a few days of its expiry.
pub const LATE_DELETION_DAYS: i64 = 3;
/// Days that resend times are kept. The limit counts the last hour.
pub const RESENDS_TTL_DAYS: i64 = 1;
/// Days that the report of a run is kept.
pub const RUN_TTL_DAYS: i64 = 90;
/// Days that overdue work is kept before it is dropped, so that an outage of two weeks loses nothing.
pub const DUE_TTL_DAYS: i64 = 14;
/// Days that an erasure is remembered: longer than its repetition is tried, and than EventBridge and Lambda hold a command of
/// the host platform.
pub const ERASURE_TTL_DAYS: i64 = DUE_TTL_DAYS + 2;
/// Days that a payment is kept after its last change, so that a refund still finds it: as long as a session may be planned
/// ahead.
pub const PAYMENT_TTL_DAYS: i64 = 800;
/// Days that a session waits for its attendance to be archived. After that, by default, the events have expired.
pub const ARCHIVE_DUE_TTL_DAYS: i64 = EVENT_TTL_DAYS;
/// The longest part of an archive: half of the item limit, which leaves room for longer names after an erasure.
pub const ARCHIVE_PART_BYTES: usize = 200 * 1024;
/// Students in one part of a summary, about ten kilobytes. A page of a course's attendance reads one or two parts.
pub const SUMMARY_PART_STUDENTS: usize = 100;
/// Days that a mail claim is kept: longer than two weeks each in the queue, in the dead-letter queue, and in the queue
/// again after a redrive.
pub const CLAIM_TTL_DAYS: i64 = 60;
/// Days that the suppression of an erased person is kept, without the address.
pub const ERASED_SUPPRESSION_TTL_DAYS: i64 = 90;
/// Days that the end of an enrollment is kept: until the sessions that were held before it are archived.
pub const ENROLLMENT_PERIOD_TTL_DAYS: i64 = ARCHIVE_DUE_TTL_DAYS + 30;
/// Days that delivery records are kept. A session may be planned two years ahead, and its cancellation needs them.
pub const DELIVERY_TTL_DAYS: i64 = 800;
