//! `attendance`: the report as JSON and CSV, manual overrides, their audit, and the attendance of a course.

mod bulk;

use lambda_http::Request;
use serde::{Deserialize, Deserializer};

use super::attendance_view;
use super::course_attendance_view;
use super::csv::{ReportFormat, requested_format};
use super::cursor::{Cursor, requested_id};
use super::deps;
use super::edge::{HttpResponse, RequestError, ResponseBody, path_parameter, route, session_id};
use super::function::Function;
use super::http_deps::{HttpDeps, State};
use super::pages::Page;
use crate::app::attendance::bulk::apply_overrides;
use crate::app::attendance::course::{CourseRequest, course_attendance};
use crate::app::attendance::{self, AttendanceContext, AuditPage};
use crate::config::{ConfigError, Env};
use crate::domain::attendance::override_request::{Assignee, OverrideRequest};
use crate::domain::attendance::{AttendanceRules, AttendeeId};
use crate::domain::caller::Caller;
use crate::domain::id::{CourseId, UserId};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::text::Description;
use crate::http;
use crate::store::Store;
use crate::store::attendance::AuditCursor;
use bulk::{BulkBody, BulkView};

/// The reason is one sentence for readers of the audit.
pub const REASON_LIMIT_CHARS: usize = 500;

pub use bulk::ROWS_LIMIT;

pub type Deps = HttpDeps<Store, AttendanceRules>;

impl State for AttendanceRules {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        deps::attendance_rules(env)
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    let context =
        AttendanceContext { store: &deps.clients, random: &deps.random, rules: deps.state, now };
    if (route.method, route.path) == ("GET", "/v1/courses/{id}/attendance") {
        let course = CourseId::parse(path_parameter(&parameters, "id"));
        let course = course.map_err(|_| Refusal::NotFound)?;
        return serve_course(&context, &caller, course, &request).await;
    }
    let id = session_id(&parameters)?;
    match (route.method, route.path) {
        ("GET", "/v1/sessions/{id}/attendance") => {
            let format = requested_format(&request)?;
            let after = requested_id(&request, AttendeeId::parse)?;
            let report = attendance::report(&context, &caller, &id).await?;
            match format {
                ReportFormat::Json => {
                    ResponseBody::ok(&attendance_view::page(report, after.as_ref())?)
                }
                ReportFormat::Csv(separator) => {
                    let (page, next) = attendance_view::csv(&report, separator, after.as_ref())?;
                    Ok(page.with_next_page(&request, next.as_ref().map(AttendeeId::as_str)))
                }
            }
        }
        ("PUT", "/v1/sessions/{id}/attendance/{attendee_id}") => {
            let attendee = AttendeeId::parse(path_parameter(&parameters, "attendee_id"))
                .ok_or(Refusal::NotFound)?;
            let (change, reason) = http::json::<OverrideBody>(&request)?.parse()?;
            let request = attendance::OverrideCall { attendee, change, reason };
            ResponseBody::ok(&attendance::apply_override(&context, &caller, &id, &request).await?)
        }
        ("PUT", "/v1/sessions/{id}/attendance") => {
            let request = http::json::<BulkBody>(&request)?.parse()?;
            let items = apply_overrides(&context, &caller, &id, &request).await?;
            ResponseBody::ok(&BulkView { items })
        }
        ("GET", "/v1/sessions/{id}/attendance/audit") => {
            let after: Option<AuditCursor> = Cursor::requested(&request)?;
            let limit = http::query_limit(&request)?;
            let AuditPage { trainer, entries, next } =
                attendance::list_audit_entries(&deps.clients, &caller, &id, after.as_ref(), limit)
                    .await?;
            let view = |entry| attendance_view::entry(entry, &trainer);
            let items = entries.iter().map(view).collect();
            ResponseBody::ok(&Page::new(items, next))
        }
        _ => Err(RequestError::UnknownRoute),
    }
}

async fn serve_course(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    course: CourseId,
    request: &Request,
) -> Result<ResponseBody, RequestError> {
    let format = requested_format(request)?;
    let (from, to) = (http::query_time(request, "from")?, http::query_time(request, "to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Refusal::field("to", "must not be before from").into());
    }
    let after = requested_id(request, |text| UserId::parse(text).ok())?;
    let limit = http::query_limit(request)?;
    let asked = CourseRequest { course, from, to, after, limit };
    let page = course_attendance(context, caller, &asked).await?;
    match format {
        ReportFormat::Json => ResponseBody::ok(&course_attendance_view::json(&page)),
        ReportFormat::Csv(separator) => {
            let table = course_attendance_view::csv(&page, separator, asked.after.as_ref());
            Ok(table.with_next_page(request, page.next.as_ref().map(UserId::as_str)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideBody {
    #[serde(default, deserialize_with = "present_or_null")]
    present: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present_or_null")]
    status: Option<Option<OverrideStatus>>,
    reason: Option<String>,
    #[serde(default, deserialize_with = "present_or_null")]
    assign_to: Option<Option<AssigneeBody>>,
}

/// The only status that is set by hand. The others follow from the times and from `present`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OverrideStatus {
    Excused,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssigneeBody {
    user_id: Option<UserId>,
    attendee_id: Option<AttendeeId>,
}

/// Distinguishes null from an absent field: null removes an override, and an absent field leaves it unchanged.
fn present_or_null<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl OverrideBody {
    fn parse(self) -> Result<(OverrideRequest, Option<String>), Refusal> {
        let mut errors = Vec::new();
        let reason = reason(self.reason.as_deref().unwrap_or_default());
        let reason = reason.map_err(|error| errors.push(error)).unwrap_or_default();
        if reason.is_none() && self.assign_to.is_some() && errors.is_empty() {
            errors.push(FieldError::new("reason", "is required"));
        }
        if self.present.is_none() && self.status.is_none() && self.assign_to.is_none() {
            errors.push(FieldError::new("present", "is required"));
        }
        let excused = self.status.map(|status| matches!(status, Some(OverrideStatus::Excused)));
        if excused == Some(true) && matches!(self.present, Some(Some(_))) {
            errors.push(FieldError::new("status", "cannot be combined with present"));
        }
        let assignee = |body: AssigneeBody| match (body.user_id, body.attendee_id) {
            (Some(user), None) => Some(Assignee::User(user)),
            (None, Some(attendee)) => Some(Assignee::Attendee(attendee)),
            _ => None,
        };
        let assign_to = match self.assign_to {
            None => None,
            Some(None) => Some(None),
            Some(Some(body)) => {
                let assignee = assignee(body);
                if assignee.is_none() {
                    let message = "must have either a user_id or an attendee_id";
                    errors.push(FieldError::new("assign_to", message));
                }
                Some(assignee)
            }
        };
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        Ok((OverrideRequest { present: self.present, excused, assign_to }, reason))
    }
}

/// Returns the reason, or `None` for a blank text.
fn reason(text: &str) -> Result<Option<String>, FieldError> {
    let field_error = |message: &dyn ToString| FieldError::new("reason", message.to_string());
    let text = Description::parse(text.trim()).map_err(|error| field_error(&error))?;
    match text.as_str().chars().count() {
        0 => Ok(None),
        1..=REASON_LIMIT_CHARS => Ok(Some(text.into())),
        _ => Err(field_error(&format!("must have at most {REASON_LIMIT_CHARS} characters"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(body: serde_json::Value) -> Result<(OverrideRequest, Option<String>), Refusal> {
        http::parse_json::<OverrideBody>(body.to_string().as_bytes())?.parse()
    }

    #[test]
    fn override_requires_a_change_and_assignment_a_reason() {
        let student = UserId::parse("student-1").unwrap();
        let to_student = Some(Some(Assignee::User(student)));
        let nothing = OverrideRequest::default();
        let cases = [
            (
                json!({"present": true}),
                OverrideRequest { present: Some(Some(true)), ..nothing.clone() },
                None,
            ),
            (
                json!({"present": null, "reason": " was there "}),
                OverrideRequest { present: Some(None), ..nothing.clone() },
                Some("was there"),
            ),
            (
                json!({"status": "excused", "reason": " "}),
                OverrideRequest { excused: Some(true), ..nothing.clone() },
                None,
            ),
            (
                json!({"status": null, "present": true}),
                OverrideRequest {
                    present: Some(Some(true)),
                    excused: Some(false),
                    ..nothing.clone()
                },
                None,
            ),
            (
                json!({"assign_to": {"user_id": "student-1"}, "reason": "was there"}),
                OverrideRequest { assign_to: to_student, ..nothing.clone() },
                Some("was there"),
            ),
            (
                json!({"assign_to": null, "reason": "was there"}),
                OverrideRequest { assign_to: Some(None), ..nothing },
                Some("was there"),
            ),
        ];
        for (body, change, reason) in cases {
            assert_eq!(parsed(body.clone()), Ok((change, reason.map(str::to_owned))), "{body}");
        }
        for (body, field) in [
            (json!({"present": true, "reason": "é".repeat(501)}), "reason"),
            (json!({"reason": "because"}), "present"),
            (json!({"present": "yes", "reason": "because"}), "present"),
            (json!({"status": "late"}), "status"),
            (json!({"status": "excused", "present": true}), "status"),
            (json!({"assign_to": {"user_id": "student-1"}}), "reason"),
            (json!({"assign_to": {"user_id": "student-1"}, "reason": " "}), "reason"),
            (json!({"assign_to": null}), "reason"),
            (json!({"assign_to": {}, "reason": "because"}), "assign_to"),
        ] {
            let Err(Refusal::Invalid(errors)) = parsed(body.clone()) else { panic!("{body}") };
            assert_eq!(errors[0].field, field, "{body}");
        }
    }
}
