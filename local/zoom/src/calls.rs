//! Names of the calls to Zoom, by method and path.

use http::Method;

/// The path prefix of the simulated Zoom's API.
const API_PATH: &str = "/zoom/v2";
/// The name of all other calls to Zoom's API.
const OTHER: &str = "other";

struct ZoomCall {
    name: &'static str,
    method: &'static str,
    /// The path below `/zoom`. `{…}` matches one segment.
    path: &'static str,
    /// Text that the query must contain, where two operations share a path.
    query: &'static str,
}

const fn zoom_call(name: &'static str, method: &'static str, path: &'static str) -> ZoomCall {
    ZoomCall { name, method, path, query: "" }
}

/// More specific entries come before more general ones.
const CALLS: [ZoomCall; 25] = [
    zoom_call("token", "POST", "/oauth/token"),
    zoom_call("revoke", "POST", "/oauth/revoke"),
    zoom_call("create_meeting", "POST", "/v2/users/{user}/meetings"),
    zoom_call("list_meetings", "GET", "/v2/users/{user}/meetings"),
    ZoomCall { query: "type=onbehalf", ..zoom_call("obf", "GET", "/v2/users/{user}/token") },
    zoom_call("zak", "GET", "/v2/users/{user}/token"),
    zoom_call("get_user", "GET", "/v2/users/{user}"),
    zoom_call("update_user", "PATCH", "/v2/users/{user}"),
    zoom_call("create_user", "POST", "/v2/users"),
    zoom_call("list_users", "GET", "/v2/users"),
    zoom_call("delete_user", "DELETE", "/v2/users/{user}"),
    zoom_call("set_user_status", "PUT", "/v2/users/{user}/status"),
    zoom_call("user_recordings", "GET", "/v2/users/{user}/recordings"),
    zoom_call("plan_usage", "GET", "/v2/accounts/{account}/plans/usage"),
    zoom_call("get_meeting", "GET", "/v2/meetings/{meeting}"),
    zoom_call("update_meeting", "PATCH", "/v2/meetings/{meeting}"),
    zoom_call("delete_meeting", "DELETE", "/v2/meetings/{meeting}"),
    zoom_call("end_meeting", "PUT", "/v2/meetings/{meeting}/status"),
    zoom_call("recordings", "GET", "/v2/meetings/{meeting}/recordings"),
    zoom_call("create_registrant", "POST", "/v2/meetings/{meeting}/registrants"),
    zoom_call("list_registrants", "GET", "/v2/meetings/{meeting}/registrants"),
    zoom_call("past_meeting", "GET", "/v2/past_meetings/{uuid}"),
    zoom_call("past_instances", "GET", "/v2/past_meetings/{meeting}/instances"),
    zoom_call("past_participants", "GET", "/v2/past_meetings/{uuid}/participants"),
    zoom_call("report_participants", "GET", "/v2/report/meetings/{meeting}/participants"),
];

/// Returns the names that a fault may use.
pub fn call_names() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|call| call.name).chain([OTHER])
}

/// Returns the name of a call, or `None` if the request is not a call to Zoom's API.
pub fn call_name(method: &Method, path: &str, query: Option<&str>) -> Option<String> {
    let under_zoom = path.strip_prefix("/zoom")?;
    let known = CALLS.iter().find(|call| {
        call.method == method.as_str()
            && path_matches(call.path, under_zoom)
            && query.unwrap_or_default().contains(call.query)
    });
    match known {
        Some(call) => Some(call.name.to_owned()),
        None if path.starts_with(API_PATH) => Some(OTHER.to_owned()),
        // The consent page and the simulation's own routes.
        None => None,
    }
}

/// Returns the name of a call in the form `METHOD /path-template`, with or without the base path.
pub fn name_from_template(text: &str) -> Option<&'static str> {
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
                && path_matches(call.path, &under_zoom)
                && query.contains(call.query)
        })
        .map(|call| call.name)
}

/// Returns whether a path matches a template, in which `{…}` matches any segment.
fn path_matches(template: &str, path: &str) -> bool {
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
    fn calls_are_identified_by_method_path_and_query() {
        let call_name = |method: Method, path, query| call_name(&method, path, query);
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
            assert_eq!(call_name(method, path, query).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn path_template_identifies_the_same_calls() {
        for (template, expected) in [
            ("PATCH /meetings/{id}", Some("update_meeting")),
            ("PATCH /v2/meetings/{meetingId}", Some("update_meeting")),
            ("POST /zoom/oauth/token", Some("token")),
            ("GET /users/{userId}/token?type=onbehalf", Some("obf")),
            ("GET /users/{userId}/token", Some("zak")),
            ("PUT /meetings/{id}", None),
            ("token", None),
        ] {
            assert_eq!(name_from_template(template), expected, "{template}");
        }
    }
}
