//! The fields of requests about users.

use super::fields::{AllowedIn, Field, Kind, field, only, required};

const NAME_CHARACTERS: usize = 64;
const DISPLAY_NAME_CHARACTERS: usize = 128;
const EMAIL_CHARACTERS: usize = 128;

/// Zoom: 1 basic, 2 licensed, 4 without meetings, 99 none.
const TYPES: Kind = Kind::Number(&[1, 2, 4, 99]);

const LICENCE_INFO: Field = field(
    "license_info_list",
    Kind::Objects(&[
        required("license_option", Kind::AnyNumber),
        required("license_type", Kind::Word(&["MEETING", "ZOOM_WORKPLACE_BUNDLE"])),
        required("subscription_id", Kind::AnyText),
    ]),
);

pub(super) const NEW_USER: &[Field] = &[
    required("action", Kind::Word(&["create", "autoCreate", "custCreate", "ssoCreate"])),
    required(
        "user_info",
        Kind::Object(&[
            field("display_name", Kind::Text(DISPLAY_NAME_CHARACTERS)),
            field("division_ids", Kind::Texts),
            required("email", Kind::Text(EMAIL_CHARACTERS)),
            field(
                "feature",
                Kind::Object(&[
                    field("zoom_one_type", Kind::AnyNumber),
                    field("zoom_phone", Kind::Flag),
                ]),
            ),
            field("first_name", Kind::Text(NAME_CHARACTERS)),
            field("last_name", Kind::Text(NAME_CHARACTERS)),
            LICENCE_INFO,
            field("password", Kind::Text(32)),
            field("plan_united_type", Kind::AnyText),
            required("type", TYPES),
        ]),
    ),
];

pub(super) const USER: &[Field] = &[
    field("about_me", Kind::Text(150)),
    field("cms_user_id", Kind::AnyText),
    field("company", Kind::Text(255)),
    field("cost_center", Kind::AnyText),
    field("custom_attributes", Kind::Objects(CUSTOM_ATTRIBUTE)),
    field("dept", Kind::AnyText),
    field("display_name", Kind::Text(DISPLAY_NAME_CHARACTERS)),
    field("division_ids", Kind::Texts),
    only(AllowedIn::Update, "feature", Kind::Object(&[field("zoom_phone", Kind::Flag)])),
    field("first_name", Kind::Text(NAME_CHARACTERS)),
    field("group_id", Kind::AnyText),
    field("host_key", Kind::Text(10)),
    field("job_title", Kind::Text(128)),
    field("language", Kind::AnyText),
    field("last_name", Kind::Text(NAME_CHARACTERS)),
    LICENCE_INFO,
    field("linkedin_url", Kind::AnyText),
    field("location", Kind::Text(256)),
    field("manager", Kind::AnyText),
    field("phone_country", Kind::AnyText),
    field("phone_number", Kind::AnyText),
    field("phone_numbers", Kind::Objects(PHONE_NUMBER)),
    field("plan_united_type", Kind::AnyText),
    field("pmi", Kind::AnyNumber),
    field("pronouns", Kind::AnyText),
    field("pronouns_option", Kind::Number(&[1, 2, 3])),
    field("timezone", Kind::AnyText),
    field("type", TYPES),
    field("use_pmi", Kind::Flag),
    field("vanity_name", Kind::AnyText),
    field("zoom_one_type", Kind::AnyNumber),
];

const CUSTOM_ATTRIBUTE: &[Field] =
    &[field("key", Kind::AnyText), field("name", Kind::AnyText), field("value", Kind::AnyText)];

const PHONE_NUMBER: &[Field] = &[
    field("code", Kind::AnyText),
    field("country", Kind::AnyText),
    field("label", Kind::Word(&["Mobile", "Office", "Home", "Fax"])),
    field("number", Kind::AnyText),
];

/// Zoom: `clock_in` and `clock_out` belong to a product that the simulated account does not have.
pub(super) const USER_STATUS: &[Field] = &[
    required("action", Kind::Word(&["activate", "deactivate"])),
    field("transfer_email", Kind::AnyText),
    field("transfer_events", Kind::Flag),
];
