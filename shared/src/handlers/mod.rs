//! Maps HTTP requests and events to use cases, one file per function, with the tables of routes and schedules.
//!
//! A handler parses its event into domain types, calls one use case, and renders the response. It makes no decisions.

pub mod attendance;
pub mod connect;
pub mod csv;
pub mod deprecation;
pub mod deps;
pub mod directory;
pub mod disconnect;
pub mod edge;
pub mod function;
pub mod hosts;
pub mod http_deps;
pub mod join;
pub mod mail_events;
pub mod meeting_sweep;
pub mod notifications;
pub mod operations;
pub mod outbox_sweep;
pub mod pages;
pub mod payments;
pub mod platform_event;
pub mod poll;
pub mod problem;
pub mod reconcile_sweep;
pub mod recording_view;
pub mod reminder_sweep;
pub mod resend_invite;
pub mod session_cancel;
pub mod session_save;
pub mod session_view;
pub mod sessions;
pub mod webhook;

mod app_url;
mod attendance_view;
mod course_attendance_view;
mod cursor;
mod guest;
mod join_report;
mod ndjson;
mod poll_view;

use deprecation::Deprecation;

/// One route of the HTTP API. Tests compare the template, the local gateway and `openapi.yaml` with this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub function: &'static str,
    /// The query parameters. Others are refused.
    pub query: &'static [&'static str],
    /// The announcement of its removal.
    pub deprecation: Option<Deprecation>,
}

const fn route(method: &'static str, path: &'static str, function: &'static str) -> Route {
    Route { method, path, function, query: &[], deprecation: None }
}

impl Route {
    const fn with_query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// Announces the removal. `openapi.yaml` and the changelog must announce it, too.
    pub const fn deprecated(self, deprecation: Deprecation) -> Self {
        Self { deprecation: Some(deprecation), ..self }
    }
}

/// The query parameters of lists.
const PAGE: &[&str] = &["limit", "cursor"];

/// The routes for callers with a token.
pub const ROUTES: &[Route] = &[
    route("GET", "/v1/zoom/connection", "connect"),
    route("POST", "/v1/zoom/authorize", "connect"),
    route("POST", "/v1/zoom/connect", "connect"),
    route("DELETE", "/v1/zoom/connection", "disconnect"),
    route("POST", "/v1/sessions", "session-save"),
    route("PUT", "/v1/sessions/{id}", "session-save"),
    route("POST", "/v1/sessions/import", "session-save"),
    // Before the routes with an id, which `by-ref` is not.
    route("PUT", "/v1/sessions/by-ref/{external_ref}", "session-save"),
    route("GET", "/v1/sessions/by-ref/{external_ref}", "sessions"),
    route("DELETE", "/v1/sessions/by-ref/{external_ref}", "session-cancel"),
    route("POST", "/v1/sessions/{id}/cancel", "session-cancel"),
    route("GET", "/v1/sessions", "sessions").with_query(&[
        "trainer_id",
        "external_ref",
        "status",
        "course_id",
        "from",
        "to",
        "limit",
        "cursor",
    ]),
    route("GET", "/v1/sessions/{id}", "sessions"),
    route("GET", "/v1/sessions/{id}/calendar.ics", "sessions"),
    route("GET", "/v1/me/sessions", "sessions").with_query(&[
        "course_id",
        "from",
        "to",
        "limit",
        "cursor",
    ]),
    route("GET", "/v1/sessions/{id}/recordings", "sessions"),
    // Not in `sessions`, which may only read.
    route("POST", "/v1/sessions/{id}/recordings/sync", "session-save"),
    route("PUT", "/v1/sessions/{id}/recordings/{recording_id}", "session-save"),
    route("POST", "/v1/sessions/{id}/recordings/{recording_id}/view", "session-save"),
    route("GET", "/v1/sessions/{id}/timeline", "sessions").with_query(PAGE),
    route("POST", "/v1/sessions/{id}/resend-invite", "resend-invite"),
    route("POST", "/v1/sessions/{id}/join", "join"),
    route("POST", "/v1/sessions/{id}/join-report", "join"),
    route("POST", "/v1/sessions/{id}/polls", "poll"),
    route("POST", "/v1/sessions/{id}/polls/{poll_id}/close", "poll"),
    route("PUT", "/v1/sessions/{id}/polls/{poll_id}/vote", "poll"),
    route("GET", "/v1/sessions/{id}/polls", "poll").with_query(&[
        "format",
        "separator",
        "poll_id",
        "cursor",
    ]),
    route("GET", "/v1/sessions/{id}/attendance", "attendance").with_query(&[
        "format",
        "separator",
        "cursor",
    ]),
    route("PUT", "/v1/sessions/{id}/attendance", "attendance"),
    route("PUT", "/v1/sessions/{id}/attendance/{attendee_id}", "attendance"),
    route("GET", "/v1/sessions/{id}/attendance/audit", "attendance").with_query(PAGE),
    route("GET", "/v1/courses/{id}/attendance", "attendance").with_query(&[
        "from",
        "to",
        "format",
        "separator",
        "limit",
        "cursor",
    ]),
    route("GET", "/v1/me/notifications", "notifications").with_query(PAGE),
    route("POST", "/v1/me/notifications/{id}/read", "notifications"),
    route("POST", "/v1/me/notifications/{id}/dismiss", "notifications"),
    route("GET", "/v1/me/notification-preferences", "notifications"),
    route("PUT", "/v1/me/notification-preferences", "notifications"),
    route("GET", "/v1/me/capabilities", "operations"),
    route("POST", "/v1/runs", "operations"),
    route("GET", "/v1/runs", "operations").with_query(&["kind", "limit", "cursor"]),
    route("GET", "/v1/runs/{id}", "operations"),
    route("GET", "/v1/suppressions", "operations").with_query(PAGE),
    route("DELETE", "/v1/suppressions/{email}", "operations"),
    route("PUT", "/v1/directory/courses/{id}", "directory"),
    route("DELETE", "/v1/directory/courses/{id}", "directory"),
    route("PUT", "/v1/directory/courses/{id}/enrollments/{user_id}", "directory"),
    route("DELETE", "/v1/directory/courses/{id}/enrollments/{user_id}", "directory"),
    route("PUT", "/v1/directory/users/{id}", "directory"),
    route("DELETE", "/v1/directory/users/{id}", "directory"),
    route("PUT", "/v1/directory/settings", "directory"),
    route("POST", "/v1/directory/import", "directory"),
    route("GET", "/v1/logs/sessions", "operations").with_query(&["date", "limit", "cursor"]),
    route("GET", "/v1/logs/meetings/{number}", "operations")
        .with_query(&["event", "from", "to", "raw", "limit", "cursor"]),
    route("GET", "/v1/hosts", "hosts").with_query(&["state", "limit", "cursor"]),
    // Before the route of a trainer. This word cannot be an id.
    route("GET", "/v1/hosts/licences", "hosts"),
    route("GET", "/v1/hosts/{trainer_id}", "hosts"),
    route("PUT", "/v1/hosts/{trainer_id}", "hosts"),
    route("DELETE", "/v1/hosts/{trainer_id}", "hosts").with_query(&["zoom", "force"]),
    route("GET", "/v1/payments/{payment_id}", "payments"),
    route("PUT", "/v1/payments/{payment_id}", "payments"),
    route("DELETE", "/v1/payments/{payment_id}", "payments"),
];

/// The routes for guests. Their bodies have the token of a guest link instead of a caller's token.
pub const GUEST_ROUTES: &[Route] = &[
    route("POST", "/v1/guest/session", "sessions"),
    route("POST", "/v1/guest/join", "join"),
    route("POST", "/v1/guest/join-report", "join"),
];

/// The route of Zoom's events. They carry Zoom's signature instead of a caller's token. The function URL of `webhook`
/// accepts the same events.
pub const WEBHOOK_ROUTE: Route = route("POST", "/webhook/zoom", "webhook");

/// All routes of the HTTP API.
pub const API: &[&[Route]] = &[ROUTES, GUEST_ROUTES, &[WEBHOOK_ROUTE]];

/// One function that runs on a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub function: &'static str,
    pub every_minutes: u32,
}

pub const SCHEDULES: &[Schedule] = &[
    // In this order if both are due, so that reminders are sent in the same minute.
    Schedule { function: "reminder-sweep", every_minutes: 5 },
    Schedule { function: "meeting-sweep", every_minutes: 5 },
    Schedule { function: "reconcile-sweep", every_minutes: 15 },
    Schedule { function: "outbox-sweep", every_minutes: 1 },
];

/// A queue that invokes a function with its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTrigger {
    pub function: &'static str,
    /// The queue's id in the template.
    pub queue: &'static str,
    /// Messages per invocation.
    pub batch_size: u32,
}

pub const QUEUE_TRIGGERS: &[QueueTrigger] =
    &[QueueTrigger { function: "payments", queue: "PaymentsQueue", batch_size: 10 }];

/// The detail types of the host platform's events and of Amazon SES, by the function that accepts them.
pub const DETAIL_TYPES: &[(&str, &[&str])] = &[
    (
        "directory",
        &[
            "CourseUpserted",
            "EnrollmentGranted",
            "EnrollmentRevoked",
            "UserUpserted",
            "UserDeleted",
            "SettingsUpdated",
        ],
    ),
    ("hosts", &["InstructorAssigned", "InstructorRemoved"]),
    ("payments", &["PaymentSucceeded", "PaymentRefunded"]),
    ("mail-events", &["Email Bounced", "Email Complaint Received"]),
];

/// Returns the detail types that a function accepts.
pub fn detail_types(function: &str) -> &'static [&'static str] {
    DETAIL_TYPES.iter().find(|(name, _)| *name == function).map_or(&[], |(_, kinds)| kinds)
}

/// Returns the route of a request and its path parameters.
pub fn match_route<'a>(
    method: &str,
    path: &'a str,
) -> Option<(Route, Vec<(&'static str, &'a str)>)> {
    match_route_of(API, method, path)
}

fn match_route_of<'a>(
    api: &[&[Route]],
    method: &str,
    path: &'a str,
) -> Option<(Route, Vec<(&'static str, &'a str)>)> {
    api.iter()
        .copied()
        .flatten()
        .filter(|route| route.method == method)
        .find_map(|route| Some((*route, match_path(route.path, path)?)))
}

fn match_path<'a>(pattern: &'static str, path: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let mut parameters = Vec::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if segment.is_empty() => return None,
            Some(name) => parameters.push((name, segment)),
            None if expected == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_matches_its_route_and_parameters() {
        let find = |method: &str, path: &'static str| {
            match_route(method, path)
                .map(|(route, parameters)| (route.function, route.path, parameters))
        };
        assert_eq!(find("GET", "/v1/sessions"), Some(("sessions", "/v1/sessions", vec![])));
        assert_eq!(
            find("PUT", "/v1/sessions/ses_1"),
            Some(("session-save", "/v1/sessions/{id}", vec![("id", "ses_1")]))
        );
        assert_eq!(
            find("PUT", "/v1/directory/courses/c/enrollments/u"),
            Some((
                "directory",
                "/v1/directory/courses/{id}/enrollments/{user_id}",
                vec![("id", "c"), ("user_id", "u")]
            ))
        );
        assert_eq!(
            find("GET", "/v1/sessions/by-ref/timeline"),
            Some((
                "sessions",
                "/v1/sessions/by-ref/{external_ref}",
                vec![("external_ref", "timeline")]
            ))
        );
        for (method, path) in [
            ("PATCH", "/v1/sessions"),
            ("GET", "/v1/sessions/"),
            ("GET", "/v2/sessions"),
            ("PUT", "/v1/sessions/a/b"),
        ] {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn routes_are_unique() {
        let all: Vec<_> = API.iter().copied().flatten().collect();
        for (n, route) in all.iter().enumerate() {
            assert!(
                !all[..n]
                    .iter()
                    .any(|other| (other.method, other.path) == (route.method, route.path)),
                "{route:?}"
            );
        }
    }

    #[test]
    fn removals_are_announced_in_time() {
        for route in API.iter().copied().flatten() {
            let problem = route.deprecation.and_then(|deprecation| deprecation.problem());
            assert_eq!(problem, None, "{route:?}");
        }
    }
}
