//! Attribute names. Expressions use them only as `#name` placeholders, because many are reserved words.

pub const PK: &str = "pk";
pub const SK: &str = "sk";
pub const G1PK: &str = "g1pk";
pub const G1SK: &str = "g1sk";
pub const G2PK: &str = "g2pk";
pub const G2SK: &str = "g2sk";
/// The time after which DynamoDB may delete the item, in Unix seconds. The code always compares it with `now` itself.
pub const TTL: &str = "expires_at";
/// The version of the item's format, for readers that are older or newer than its writer.
pub const V: &str = "v";

// Session.
pub const STATUS: &str = "status";
pub const COURSE_ID: &str = "course_id";
pub const VERSION: &str = "version";
pub const UPDATED_AT: &str = "updated_at";
pub const CANCELLED_AT: &str = "cancelled_at";
pub const ICS_SEQUENCE: &str = "ics_sequence";
pub const EDIT_LEASE_HOLDER: &str = "edit_lease_holder";
pub const EDIT_LEASE_UNTIL: &str = "edit_lease_until";
pub const ZOOM_SYNCED_AT: &str = "zoom_synced_at";
pub const SETTINGS_SENT: &str = "settings_sent";
pub const MEETING_DELETION: &str = "meeting_deletion";

pub const MEETING_REVISION: &str = "meeting_revision";
pub const MEETING_INSTANCES: &str = "instances";
pub const EARLIER_INSTANCES: &str = "earlier_instances";
pub const RECORDINGS: &str = "recordings";
pub const SOURCE: &str = "source";
pub const ACTUAL_STARTED_AT: &str = "actual_started_at";
pub const ACTUAL_ENDED_AT: &str = "actual_ended_at";
pub const DRIFT: &str = "drift";
pub const MEETING_DUE_AT: &str = "meeting_due_at";
pub const MEETING_FAILURE: &str = "meeting_failure";
/// Whether a meeting that is made later may overlap with others of its host.
pub const ALLOWS_OVERLAP: &str = "allows_overlap";
/// The start for which the trainer was notified that the meeting is missing.
pub const MEETING_NOTICE_FOR: &str = "meeting_notice_for";
pub const MEETING_ID: &str = "meeting_id";
pub const ZOOM_ACCOUNT: &str = "zoom_account";
pub const HOST: &str = "host";
pub const PLATFORM_USER: &str = "platform_user";
pub const HAS_REGISTRATION: &str = "has_registration";
pub const STARTS_AT: &str = "starts_at";
pub const TRIGGERED_BY: &str = "triggered_by";
pub const JOIN_URL: &str = "join_url";
pub const PASSCODE: &str = "passcode";
pub const JOIN_URL_CHANGED_AT: &str = "join_url_changed_at";
pub const PASSCODE_CHANGED_AT: &str = "passcode_changed_at";

// Run.
pub const KIND: &str = "kind";

// Recording.
pub const STATE: &str = "state";
pub const STATE_AT: &str = "state_at";
pub const DESCRIBED_AT: &str = "described_at";
pub const WHOLE_INSTANCE: &str = "whole_instance";
pub const FILE_ID: &str = "file_id";
pub const ABSENCES: &str = "absences";
pub const VISIBILITY: &str = "visibility";
/// The last comparison of a session's recordings, in an item of its own.
pub const SYNC: &str = "sync";

// Clicks of a person to watch recordings.
pub const VIEWS: &str = "views";
pub const VIEWED_AT: &str = "viewed_at";
pub const VIEWER: &str = "viewer";

// Attendance override, resend log, archive, and bookings of a day. Each booking is an attribute named after its session.
pub const REVISION: &str = "revision";
pub const SUMMARY: &str = "summary";

// In-app notification.
pub const READ_AT: &str = "read_at";
pub const DISMISSED_AT: &str = "dismissed_at";

// Enrollment.
pub const ACCESS_GRANTED: &str = "access_granted";
pub const PAID_BY: &str = "paid_by";

// Item of the directory and invitee.
/// The time at which the request that wrote the item began, in Unix milliseconds. The name is short, because these items are
/// read by the thousand.
pub const REQUESTED_MS: &str = "t";

// Invitee.
/// The generation from which guest links of the invitee are valid. Short for the same reason.
pub const LINKS_FROM: &str = "g";

// Erasure.
pub const ERASED_AT: &str = "erased_at";
pub const LEADS: &str = "leads";
pub const IDENTITIES: &str = "identities";

// Part of Zoom's list of participants.
pub const FETCHED_AT: &str = "fetched_at";

// Pointer from an address to its user.
pub const USER_ID: &str = "user_id";

// Poll list of a session. Each poll is an attribute named after its id.
pub const OPEN: &str = "open";
pub const CLOSED: &str = "closed";

// Vote shard. Each ballot is an attribute named after its voter.
pub const VOTING_CLOSED: &str = "voting_closed";

// Due reminder.
pub const HELD: &str = "held";
pub const HAS_COMPARISON: &str = "has_comparison";

// Creation intent.
pub const ATTEMPT: &str = "attempt";
pub const ATTEMPT_UNTIL: &str = "attempt_until";
pub const QUOTA_RELEASED: &str = "quota_released";
pub const BOOKING: &str = "booking";
pub const CREATED_FROM: &str = "created_from";
pub const FOLLOWS_OTHER_BODY: &str = "follows_other_body";
pub const DEFAULTS: &str = "defaults";

// Pointer from the host platform's name to its session.
pub const GENERATION: &str = "generation";

// Counter.
pub const COUNT: &str = "count";

// Zoom connection.
pub const HEALTH: &str = "health";
pub const ZOOM_USER_ID: &str = "zoom_user_id";
pub const ZOOM_EMAIL: &str = "zoom_email";
pub const ACCESS_TOKEN: &str = "access_token";
pub const REFRESH_TOKEN: &str = "refresh_token";
pub const ACCESS_EXPIRES_AT: &str = "access_expires_at";
pub const SCOPES: &str = "scopes";
pub const API_URL: &str = "api_url";
pub const LEASE_HOLDER: &str = "lease_holder";
pub const GRANT_CHECK_AT: &str = "grant_check_at";
pub const LEASE_UNTIL: &str = "lease_until";
pub const TRAINER_ID: &str = "trainer_id";
pub const CONNECTED_AT: &str = "connected_at";

// Account token.
pub const REFUSED_AT: &str = "refused_at";

// Zoom user, OAuth attempt.
pub const DEAUTHORIZED_AT: &str = "deauthorized_at";
pub const VERIFIER: &str = "verifier";

// Domain event.
pub const CURSOR: &str = "cursor";
pub const IS_STARTED: &str = "is_started";

// Mail claim. A consumed OAuth attempt also has a holder.
pub const PHASE: &str = "phase";
pub const HOLDER: &str = "holder";
pub const ATTEMPTS: &str = "attempts";
pub const UNKNOWN_OUTCOMES: &str = "unknown_outcomes";
pub const REDRIVES: &str = "redrives";
pub const CLAIMED_AT: &str = "claimed_at";
pub const CLAIMED_UNTIL: &str = "claimed_until";
pub const RECORDED_STATUS: &str = "recorded_status";

// Mail counts of a session.
pub const NOTIFIED: &str = "notified";
/// Whether a mail was queued that removes an entry of the session, which goes on. The sequences of addresses may then
/// exceed the session's own.
pub const HAS_REMOVALS: &str = "has_removals";

// Mail counts of a session: the last notification of the trainer about returned mails.
pub const RETURN_NOTIFICATION_AT: &str = "return_notification_at";

// Suppression.
pub const EMAIL: &str = "email";
pub const REASON: &str = "reason";

// Outbox state.
pub const PAUSED_UNTIL: &str = "paused_until";
pub const PAUSE_REASON: &str = "pause_reason";
