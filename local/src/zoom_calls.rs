//! Names for the calls to Zoom, told from method and path.

use http::Method;

/// Where the simulated Zoom's API answers.
const API_PATH: &str = "/zoom/v2";
/// A call to Zoom's API that has no name of its own here.
const OTHER: &str = "other";

struct Named {
    name: &'static str,
    method: &'static str,
    /// Under `/zoom`; `{…}` stands for one segment.
    path: &'static str,
    /// What the query must hold, where two operations share a path.
    query: &'static str,
}

const fn named(name: &'static str, method: &'static str, path: &'static str) -> Named {
    Named { name, method, path, query: "" }
}

/// The more special comes before the more general.
const CALLS: [Named; 16] = [
    named("token", "POST", "/oauth/token"),
    named("revoke", "POST", "/oauth/revoke"),
    named("create_meeting", "POST", "/v2/users/{user}/meetings"),
    named("list_meetings", "GET", "/v2/users/{user}/meetings"),
    Named { query: "type=onbehalf", ..named("obf", "GET", "/v2/users/{user}/token") },
    named("zak", "GET", "/v2/users/{user}/token"),
    named("get_user", "GET", "/v2/users/{user}"),
    named("update_user", "PATCH", "/v2/users/{user}"),
    named("create_user", "POST", "/v2/users"),
    named("get_meeting", "GET", "/v2/meetings/{meeting}"),
    named("update_meeting", "PATCH", "/v2/meetings/{meeting}"),
    named("delete_meeting", "DELETE", "/v2/meetings/{meeting}"),
    named("end_meeting", "PUT", "/v2/meetings/{meeting}/status"),
    named("recordings", "GET", "/v2/meetings/{meeting}/recordings"),
    named("past_participants", "GET", "/v2/past_meetings/{uuid}/participants"),
    named("report_participants", "GET", "/v2/report/meetings/{meeting}/participants"),
];

/// The names that a fault may use.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|call| call.name).chain([OTHER])
}

/// The name of a call, or `None` for what is not a call by a program.
pub(crate) fn name(method: &Method, path: &str, query: Option<&str>) -> Option<String> {
    let under_zoom = path.strip_prefix("/zoom")?;
    let known = CALLS.iter().find(|call| {
        call.method == method.as_str()
            && fits(call.path, under_zoom)
            && query.unwrap_or_default().contains(call.query)
    });
    match known {
        Some(call) => Some(call.name.to_owned()),
        None if path.starts_with(API_PATH) => Some(OTHER.to_owned()),
        // The consent page and the simulation's own routes.
        None => None,
    }
}

/// The name of what a fault calls `METHOD /path-template`, with or without the base path.
pub(crate) fn name_of_template(text: &str) -> Option<&'static str> {
    let (method, path) = text.split_once(' ')?;
    let path = path.trim().strip_prefix("/zoom").unwrap_or(path.trim());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let under_zoom = if path.starts_with("/v2/") || path.starts_with("/oauth/") {
        path.to_owned()
    } else {
        format!("/v2{path}")
    };
    CALLS
        .iter()
        .find(|call| {
            call.method.eq_ignore_ascii_case(method.trim())
                && fits(call.path, &under_zoom)
                && query.contains(call.query)
        })
        .map(|call| call.name)
}

/// Whether a path has the template's shape: equal segments, and anything where it says `{…}`.
fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.trim_end_matches('/').split('/');
    template.split('/').all(|expected| {
        segments.next().is_some_and(|segment| {
            expected == segment || (expected.starts_with('{') && !segment.is_empty())
        })
    }) && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_told_by_method_path_and_query() {
        let told = |method: Method, path, query| name(&method, path, query);
        for (method, path, query, expected) in [
            (Method::POST, "/zoom/oauth/token", None, Some("token")),
            (Method::POST, "/zoom/v2/users/me/meetings", None, Some("create_meeting")),
            (Method::GET, "/zoom/v2/users/me/token", Some("type=zak"), Some("zak")),
            (
                Method::GET,
                "/zoom/v2/users/me/token",
                Some("type=onbehalf&meeting_id=1"),
                Some("obf"),
            ),
            (Method::DELETE, "/zoom/v2/meetings/91234567890", None, Some("delete_meeting")),
            (
                Method::GET,
                "/zoom/v2/past_meetings/a%252Fb/participants",
                None,
                Some("past_participants"),
            ),
            (Method::GET, "/zoom/v2/webinars/1", None, Some("other")),
            (Method::GET, "/zoom/oauth/authorize", None, None),
            (Method::POST, "/zoom/sim/meetings/1/start", None, None),
            (Method::GET, "/v1/sessions", None, None),
        ] {
            assert_eq!(told(method, path, query).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_template_names_the_same_calls() {
        for (template, expected) in [
            ("PATCH /meetings/{id}", Some("update_meeting")),
            ("PATCH /v2/meetings/{meetingId}", Some("update_meeting")),
            ("POST /zoom/oauth/token", Some("token")),
            ("GET /users/{userId}/token?type=onbehalf", Some("obf")),
            ("GET /users/{userId}/token", Some("zak")),
            ("PUT /meetings/{id}", None),
            ("token", None),
        ] {
            assert_eq!(name_of_template(template), expected, "{template}");
        }
    }
}
