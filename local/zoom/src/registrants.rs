//! `/meetings/{meeting}/registrants`: the people who are registered for a meeting, each with a personal link.
//!
//! Zoom: a meeting with registration admits only its host and people with a personal link. The common link of such a
//! meeting shows a form, in which people register themselves.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::context::{Caller, Context};
use super::fields::{self, AllowedIn, Field, Kind, field, required};
use super::licences::BASIC;
use super::listing::{PageFormat, Parameters};
use super::meetings::ZOOM_WEB;
use super::responses::{ApiError, ApiResult, created, instant};
use super::sim_error::SimError;
use super::state::{Meeting, Registrant};
use super::users::content_type;
use super::{Zoom, ids, scopes};

/// Zoom: the longest name of a registrant, and the longest address.
const NAME_CHARACTERS: usize = 64;
const EMAIL_CHARACTERS: usize = 128;
/// Zoom's values of `approval_type`.
const APPROVED_AT_ONCE: i64 = 0;
const APPROVED_BY_HAND: i64 = 1;
const NO_REGISTRATION: i64 = 2;

const REGISTRANTS: PageFormat = PageFormat::of("registrants");

const EMPLOYEES: &[&str] = &[
    "",
    "1-20",
    "21-50",
    "51-100",
    "101-500",
    "500-1,000",
    "1,001-5,000",
    "5,001-10,000",
    "More than 10,000",
];

pub(super) const REGISTRANT: &[Field] = &[
    field("address", Kind::AnyText),
    field("auto_approve", Kind::Flag),
    field("city", Kind::AnyText),
    field("comments", Kind::AnyText),
    field("country", Kind::AnyText),
    field(
        "custom_questions",
        Kind::Objects(&[field("title", Kind::AnyText), field("value", Kind::Text(128))]),
    ),
    required("email", Kind::Text(EMAIL_CHARACTERS)),
    required("first_name", Kind::Text(NAME_CHARACTERS)),
    field("industry", Kind::AnyText),
    field("job_title", Kind::AnyText),
    field("language", Kind::AnyText),
    field("last_name", Kind::Text(NAME_CHARACTERS)),
    field("no_of_employees", Kind::Word(EMPLOYEES)),
    field("org", Kind::AnyText),
    field("phone", Kind::AnyText),
    field("purchasing_time_frame", Kind::AnyText),
    field("role_in_purchase_process", Kind::AnyText),
    field("state", Kind::AnyText),
    field("zip", Kind::AnyText),
];

impl Meeting {
    /// Returns whether people need a personal link.
    pub(super) fn has_registration(&self) -> bool {
        !self.setting_is("approval_type", NO_REGISTRATION)
    }

    /// Returns the address of the form in which people register themselves.
    pub(super) fn registration_url(&self) -> Option<String> {
        let url = || format!("{ZOOM_WEB}/meeting/register/{}", self.encrypted_password);
        self.has_registration().then(url)
    }

    fn personal_link(&self, registrant: &Registrant) -> String {
        let Self { id, encrypted_password, .. } = self;
        format!("{ZOOM_WEB}/w/{id}?tk={}&pwd={encrypted_password}", registrant.tk)
    }
}

pub(super) async fn create(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::CREATE_REGISTRANT)?;
        let id = context.registered_meeting_in_path(&caller, &meeting, 1001)?;
        let content_type = content_type(&headers);
        let body = fields::parse_body(&body, content_type, REGISTRANT, AllowedIn::Create)?;
        let registrant = context.register(id, &body)?;
        let meeting = context.meeting(id)?;
        let mut body = json!({
            "id": id,
            "registrant_id": registrant.id,
            "topic": meeting.topic,
            "start_time": instant(meeting.start_time),
        });
        if registrant.is_approved {
            body["join_url"] = meeting.personal_link(&registrant).into();
        }
        Ok(created(body))
    })
}

pub(super) async fn list(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::LIST_REGISTRANTS)?;
        let id = context.registered_meeting_in_path(&caller, &meeting, 3001)?;
        let status = query.get("status").map_or("approved", String::as_str);
        if !["pending", "approved", "denied"].contains(&status) {
            return Err(ApiError::invalid_field("status", "Invalid field."));
        }
        let meeting = context.meeting(id)?;
        let listed = |it: &&Registrant| status == it.status();
        let rows = meeting.registrants.iter().filter(listed).map(|it| row(meeting, it)).collect();
        context.page(REGISTRANTS, &format!("{status} registrants of {id}"), rows, &query)
    })
}

fn row(meeting: &Meeting, registrant: &Registrant) -> Value {
    json!({
        "id": registrant.id,
        "email": registrant.email,
        "first_name": registrant.first_name,
        "last_name": registrant.last_name,
        "status": registrant.status(),
        "create_time": instant(registrant.created_at),
        "join_url": meeting.personal_link(registrant),
    })
}

impl Registrant {
    fn status(&self) -> &'static str {
        if self.is_approved { "approved" } else { "pending" }
    }
}

impl Context<'_> {
    /// Returns the id of a meeting in a path that has registration. Zoom has two codes for an unknown meeting here.
    fn registered_meeting_in_path(
        &self,
        caller: &Caller,
        name: &str,
        unknown_code: u32,
    ) -> Result<i64, ApiError> {
        let id = self.meeting_in_path(caller, name).map_err(|_| {
            let message = format!("Meeting does not exist: {name}.");
            ApiError::new(StatusCode::NOT_FOUND, unknown_code, message)
        })?;
        let meeting = self.meeting(id)?;
        if self.user_with_id(&meeting.host_id)?.licence == BASIC {
            return Err(ApiError::cannot_host(&meeting.host_id));
        }
        if !meeting.has_registration() {
            // Zoom does not document the code. A client should check the status.
            let message = format!("Registration has not been enabled for this meeting: {id}.");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 3000, message));
        }
        Ok(id)
    }

    /// Registers a person, or returns the registrant with the same address. Zoom: each request counts for the day.
    fn register(&mut self, id: i64, body: &Map<String, Value>) -> Result<Registrant, ApiError> {
        let limits = self.state.settings.registrants.clone();
        let (today, now) = (self.today(), self.now);
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let email = text("email");
        let meeting = self.meeting(id)?;
        let known = meeting.registrants.iter().position(|it| it.email.eq_ignore_ascii_case(email));
        let earlier = known.map_or(0, |index| {
            let (day, count) = meeting.registrants[index].requests;
            if day == today { count } else { 0 }
        });
        if earlier >= limits.daily_requests {
            let category = scopes::CREATE_REGISTRANT.category;
            let counted = "Add meeting registrant API requests for the registrant";
            return Err(self.daily_limit_reached(category, limits.daily_requests, counted));
        }
        if known.is_none() && meeting.registrants.len() >= limits.capacity {
            let message = "Meeting has reached maximum attendee capacity.";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 3043, message));
        }
        let is_approved = meeting.setting_is("approval_type", APPROVED_AT_ONCE)
            || body.get("auto_approve") == Some(&Value::Bool(true))
                && meeting.setting_is("approval_type", APPROVED_BY_HAND);
        let new = Registrant {
            id: ids::user_id(self.random),
            email: email.to_owned(),
            first_name: text("first_name").to_owned(),
            last_name: text("last_name").to_owned(),
            tk: ids::text(self.random, 43),
            created_at: now,
            is_approved,
            requests: (today, 1),
        };
        let registrants = &mut self.meeting_mut(id)?.registrants;
        Ok(match known {
            Some(index) => {
                registrants[index].requests = (today, earlier + 1);
                registrants[index].clone()
            }
            None => {
                registrants.push(new.clone());
                new
            }
        })
    }

    /// Returns the registrant of a personal link, or none for a meeting without registration.
    pub(super) fn admitted_registrant(
        &self,
        id: i64,
        tk: Option<&str>,
    ) -> Result<Option<String>, SimError> {
        let meeting = self.existing_meeting(id)?;
        let known = meeting.registrants.iter().find(|it| Some(it.tk.as_str()) == tk);
        match known {
            Some(registrant) if registrant.is_approved => Ok(Some(registrant.id.clone())),
            Some(_) => Err(SimError::conflict("The registration is not approved.")),
            None if tk.is_some() => Err(SimError::conflict("The personal link is not valid.")),
            None if meeting.has_registration() => {
                Err(SimError::conflict("The meeting requires registration."))
            }
            None => Ok(None),
        }
    }

    /// Registers a person in the form that the common link shows. Zoom then shows the personal link.
    pub(super) fn register_by_form(
        &mut self,
        id: i64,
        email: &str,
        name: &str,
    ) -> Result<String, SimError> {
        if !self.existing_meeting(id)?.has_registration() {
            return Err(SimError::conflict("The meeting has no registration."));
        }
        let body = json!({ "email": email, "first_name": name });
        let Value::Object(body) = body else { return Err(SimError::conflict("No body.")) };
        let registered = self.register(id, &body);
        Ok(registered.map_err(|_| SimError::conflict("Zoom refused the registration."))?.tk)
    }
}
