//! Renders the capabilities of a caller.

use lambda_http::Request;
use serde::Serialize;

use super::Deps;
use crate::app::operations::capabilities;
use crate::domain::capabilities::DisabledReason;
use crate::domain::hosting::Hosting;
use crate::domain::plan::PlanLimits;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::utc_month;
use crate::handlers::edge::{RequestError, ResponseBody};
use crate::mail;

#[derive(Serialize)]
struct CapabilitiesView<'a> {
    roles: Vec<&'static str>,
    live_classes: LiveClassesView,
    plan: PlanView,
    hosting: Option<Hosting>,
    windows: WindowsView,
    recording_allowed: bool,
    disclaimer: Option<&'a str>,
    /// The languages of mails.
    languages: &'static [&'static str],
}

#[derive(Serialize)]
struct LiveClassesView {
    enabled: bool,
    reason: Option<DisabledReason>,
}

#[derive(Serialize)]
struct PlanView {
    name: Option<String>,
    limits: LimitsView,
    /// The sessions of this month that are counted.
    used: u32,
    month: String,
}

/// Unlike in the settings, an absent limit is `null`, so that pages read every member.
#[derive(Serialize)]
struct LimitsView {
    sessions_per_month: Option<u32>,
    max_duration_minutes: Option<u16>,
    max_invitees: Option<u32>,
    recording: bool,
}

#[derive(Serialize)]
struct WindowsView {
    owner_before_minutes: i64,
    invited_before_minutes: i64,
    after_end_minutes: i64,
}

impl From<PlanLimits> for LimitsView {
    fn from(limits: PlanLimits) -> Self {
        Self {
            sessions_per_month: limits.sessions_per_month,
            max_duration_minutes: limits.max_duration_minutes,
            max_invitees: limits.max_invitees,
            recording: limits.recording.unwrap_or(true),
        }
    }
}

impl From<JoinWindowSettings> for WindowsView {
    fn from(window: JoinWindowSettings) -> Self {
        Self {
            owner_before_minutes: window.trainer_lead_minutes,
            invited_before_minutes: window.student_lead_minutes,
            after_end_minutes: window.closing_minutes,
        }
    }
}

pub(super) async fn serve(deps: &Deps, request: &Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let caller = deps.authenticator.caller(request, now).await?;
    let config = &deps.state;
    let decided = capabilities::load(&deps.clients, config.hosting, &caller, now).await?;
    ResponseBody::ok(&CapabilitiesView {
        roles: caller.roles.iter().map(|role| role.as_str()).collect(),
        live_classes: LiveClassesView {
            enabled: decided.disabled.is_none(),
            reason: decided.disabled,
        },
        plan: PlanView {
            name: decided.plan,
            limits: decided.limits.into(),
            used: decided.used_this_month,
            month: utc_month(now),
        },
        hosting: decided.hosting,
        windows: config.window.into(),
        recording_allowed: decided.recording_allowed,
        disclaimer: config.disclaimer.as_deref(),
        languages: mail::LANGUAGES,
    })
}
