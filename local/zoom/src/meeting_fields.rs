//! The meeting fields of `POST /users/{user}/meetings` and `PATCH /meetings/{meeting}`.

use super::fields::{AllowedIn, Field, Kind, field, only, required};

/// Zoom: a topic has up to 200 characters, an agenda up to 2,000, and a duration is one minute to one day.
const TOPIC_CHARACTERS: usize = 200;
const AGENDA_CHARACTERS: usize = 2000;
const MAX_DURATION_MINUTES: i64 = 1440;

pub(super) const MEETING: &[Field] = &[
    field("agenda", Kind::Text(AGENDA_CHARACTERS)),
    only(AllowedIn::Create, "default_password", Kind::Flag),
    field("duration", Kind::Between(1, MAX_DURATION_MINUTES)),
    field("password", Kind::Passcode),
    field("pre_schedule", Kind::Flag),
    field("recurrence", Kind::Object(RECURRENCE)),
    field("schedule_for", Kind::AnyText),
    field("settings", Kind::Object(SETTINGS)),
    field("start_time", Kind::AnyText),
    field("sensitivity_label_id", Kind::AnyText),
    field("template_id", Kind::AnyText),
    field("timezone", Kind::AnyText),
    field("topic", Kind::Text(TOPIC_CHARACTERS)),
    field("tracking_fields", Kind::Objects(TRACKING_FIELD)),
    field("type", Kind::Number(&[1, 2, 3, 8, 10])),
];

const RECURRENCE: &[Field] = &[
    field("end_date_time", Kind::AnyText),
    field("end_times", Kind::Between(1, 60)),
    field("monthly_day", Kind::Between(1, 31)),
    field("monthly_week", Kind::Number(&[-1, 1, 2, 3, 4])),
    field("monthly_week_day", Kind::Between(1, 7)),
    field("repeat_interval", Kind::AnyNumber),
    required("type", Kind::Number(&[1, 2, 3])),
    field("weekly_days", Kind::AnyText),
];

const TRACKING_FIELD: &[Field] = &[field("field", Kind::AnyText), field("value", Kind::AnyText)];

const SETTINGS: &[Field] = &[
    only(AllowedIn::Create, "additional_data_center_regions", Kind::Texts),
    field("allow_host_control_participant_mute_state", Kind::Flag),
    field("allow_multiple_devices", Kind::Flag),
    field("alternative_host_manage_cloud_recording", Kind::Flag),
    field("alternative_host_manage_meeting_summary", Kind::Flag),
    field("alternative_host_update_polls", Kind::Flag),
    field("alternative_hosts", Kind::AnyText),
    field("alternative_hosts_email_notification", Kind::Flag),
    field("approval_type", Kind::Number(&[0, 1, 2])),
    field("approved_or_denied_countries_or_regions", Kind::Object(COUNTRIES)),
    field("audio", Kind::Word(&["both", "telephony", "voip", "thirdParty"])),
    field("audio_conference_info", Kind::Text(2048)),
    field("authentication_domains", Kind::AnyText),
    field("authentication_exception", Kind::Objects(AUTHENTICATION_EXCEPTION)),
    only(AllowedIn::Update, "authentication_name", Kind::AnyText),
    field("authentication_option", Kind::AnyText),
    field("auto_add_recording_to_video_management", Kind::Object(VIDEO_MANAGEMENT)),
    field("auto_recording", Kind::Word(&["local", "cloud", "none"])),
    field("auto_start_ai_companion_questions", Kind::Flag),
    field("auto_start_deepfake_detection", Kind::Flag),
    field("auto_start_meeting_summary", Kind::Flag),
    field("breakout_room", Kind::Object(BREAKOUT_ROOM)),
    field("calendar_type", Kind::Number(&[1, 2])),
    field("close_registration", Kind::Flag),
    field("cn_meeting", Kind::Flag),
    field("contact_email", Kind::AnyText),
    field("contact_name", Kind::AnyText),
    field("continuous_meeting_chat", Kind::Object(CONTINUOUS_CHAT)),
    only(AllowedIn::Update, "custom_keys", Kind::Objects(CUSTOM_KEY)),
    field("device_testing", Kind::Flag),
    field("disable_participant_video", Kind::Flag),
    field("email_in_attendee_report", Kind::Flag),
    field("email_notification", Kind::Flag),
    field("encryption_type", Kind::Word(&["enhanced_encryption", "e2ee"])),
    only(AllowedIn::Update, "enforce_login", Kind::Flag),
    only(AllowedIn::Update, "enforce_login_domains", Kind::AnyText),
    field("focus_mode", Kind::Flag),
    field("global_dial_in_countries", Kind::Texts),
    only(AllowedIn::Update, "global_dial_in_numbers", Kind::Objects(DIAL_IN_NUMBER)),
    field("host_pause_stop_recording", Kind::Flag),
    field("host_save_video_order", Kind::Flag),
    field("host_video", Kind::Flag),
    field("in_meeting", Kind::Flag),
    field("internal_meeting", Kind::Flag),
    field("jbh_time", Kind::Number(&[0, 5, 10, 15])),
    field("join_before_host", Kind::Flag),
    field("language_interpretation", Kind::Object(INTERPRETATION)),
    field("meeting_authentication", Kind::Flag),
    field("meeting_invitees", Kind::Objects(&[field("email", Kind::AnyText)])),
    field("mute_upon_entry", Kind::Flag),
    field("participant_focused_meeting", Kind::Flag),
    field("participant_video", Kind::Flag),
    field("private_meeting", Kind::Flag),
    field("push_change_to_calendar", Kind::Flag),
    field("question_and_answer", Kind::Object(QUESTIONS)),
    field("registrants_confirmation_email", Kind::Flag),
    field("registrants_email_notification", Kind::Flag),
    field("registration_type", Kind::Number(&[1, 2, 3])),
    field("request_permission_to_unmute_participants", Kind::Flag),
    field("resources", Kind::Objects(RESOURCE)),
    only(AllowedIn::Create, "show_join_info", Kind::Flag),
    field("show_share_button", Kind::Flag),
    field("sign_language_interpretation", Kind::Object(SIGN_INTERPRETATION)),
    field("summary_template_id", Kind::AnyText),
    field("use_pmi", Kind::Flag),
    field("waiting_room", Kind::Flag),
    field("waiting_room_options", Kind::Object(WAITING_ROOM_OPTIONS)),
    field("watermark", Kind::Flag),
    field("who_can_ask_questions", Kind::Between(1, 5)),
    field("who_will_receive_summary", Kind::Between(1, 4)),
];

const COUNTRIES: &[Field] = &[
    field("approved_list", Kind::Texts),
    field("denied_list", Kind::Texts),
    field("enable", Kind::Flag),
    field("method", Kind::Word(&["approve", "deny"])),
];

const AUTHENTICATION_EXCEPTION: &[Field] = &[
    field("email", Kind::AnyText),
    field("name", Kind::AnyText),
    only(AllowedIn::Update, "join_url", Kind::AnyText),
];

const VIDEO_MANAGEMENT: &[Field] = &[
    required("enable", Kind::Flag),
    field(
        "channels",
        Kind::Objects(&[required("channel_id", Kind::AnyText), field("name", Kind::AnyText)]),
    ),
];

const BREAKOUT_ROOM: &[Field] = &[
    field("enable", Kind::Flag),
    field(
        "rooms",
        Kind::Objects(&[field("name", Kind::AnyText), field("participants", Kind::Texts)]),
    ),
];

const CONTINUOUS_CHAT: &[Field] = &[
    field("auto_add_invited_external_users", Kind::Flag),
    field("auto_add_meeting_participants", Kind::Flag),
    field("enable", Kind::Flag),
];

const CUSTOM_KEY: &[Field] = &[field("key", Kind::Text(64)), field("value", Kind::Text(256))];

const DIAL_IN_NUMBER: &[Field] = &[
    field("city", Kind::AnyText),
    field("country", Kind::AnyText),
    field("country_name", Kind::AnyText),
    field("number", Kind::AnyText),
    field("type", Kind::Word(&["toll", "tollfree"])),
];

const INTERPRETATION: &[Field] = &[
    field("enable", Kind::Flag),
    field(
        "interpreters",
        Kind::Objects(&[
            field("email", Kind::AnyText),
            field("interpreter_languages", Kind::AnyText),
            field("languages", Kind::AnyText),
        ]),
    ),
];

const SIGN_INTERPRETATION: &[Field] = &[
    field("enable", Kind::Flag),
    field(
        "interpreters",
        Kind::Objects(&[field("email", Kind::AnyText), field("sign_language", Kind::AnyText)]),
    ),
];

const QUESTIONS: &[Field] = &[
    field("allow_anonymous_questions", Kind::Flag),
    field("allow_submit_questions", Kind::Flag),
    field("attendees_can_comment", Kind::Flag),
    field("attendees_can_upvote", Kind::Flag),
    field("enable", Kind::Flag),
    field("question_visibility", Kind::Word(&["answered", "all"])),
];

const RESOURCE: &[Field] = &[
    field("permission_level", Kind::Word(&["editor", "commenter", "viewer"])),
    field("resource_id", Kind::AnyText),
    field("resource_type", Kind::Word(&["whiteboard"])),
];

const WAITING_ROOM_OPTIONS: &[Field] = &[
    required("mode", Kind::Word(&["follow_setting", "custom"])),
    field(
        "who_goes_to_waiting_room",
        Kind::Word(&[
            "everyone",
            "users_not_in_account",
            "users_not_in_account_or_whitelisted_domains",
            "users_not_on_invite",
            "users_not_in_org",
        ]),
    ),
];
