//! What a deployment and a trainer's plan allow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::id::UserId;
use super::refusal::Refusal;

/// The platform's own settings for live classes, as its back end put them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The kill switch: `false` stops scheduling and editing at once; cancelling and joining go on.
    #[serde(default = "yes")]
    pub live_classes_enabled: bool,
    /// Limits by the plan's name. With no plan at all, nobody needs one.
    #[serde(default)]
    pub plans: BTreeMap<String, Limits>,
    /// While this is given, only these trainers have live classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pilot_trainer_ids: Option<Vec<UserId>>,
}

fn yes() -> bool {
    true
}

impl Default for Settings {
    fn default() -> Self {
        Self { live_classes_enabled: true, plans: BTreeMap::new(), pilot_trainer_ids: None }
    }
}

/// What one plan allows; what is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Classes that begin in one calendar month (UTC) and were not cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions_per_month: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_minutes: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_invitees: Option<u32>,
    /// Whether classes may be recorded; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<bool>,
}

impl Settings {
    /// Whether `trainer` has live classes at all.
    pub fn enabled_for(&self, trainer: &UserId) -> Result<(), Refusal> {
        let in_pilot = self.pilot_trainer_ids.as_ref().is_none_or(|pilot| pilot.contains(trainer));
        if self.live_classes_enabled && in_pilot { Ok(()) } else { Err(Refusal::FeatureDisabled) }
    }

    /// The limits that hold for someone on `plan`.
    pub fn limits(&self, plan: Option<&str>) -> Result<Limits, Refusal> {
        if self.plans.is_empty() {
            return Ok(Limits::default());
        }
        plan.and_then(|plan| self.plans.get(plan)).cloned().ok_or(Refusal::PlanRequired)
    }
}

impl Limits {
    /// Whether a class like `draft` is within the limits, apart from the month's number, which is counted where it is stored.
    pub fn admit(&self, draft: &Draft) -> Result<(), Refusal> {
        if let Some(most) = self.max_duration_minutes
            && draft.duration_minutes > most
        {
            return Err(Refusal::PlanLimit(format!("classes of at most {most} minutes")));
        }
        if let Some(most) = self.max_invitees
            && draft.invitee_count() > most as usize
        {
            return Err(Refusal::PlanLimit(format!("at most {most} invitees")));
        }
        if self.recording == Some(false) && draft.record_session {
            return Err(Refusal::PlanLimit("no recording".to_owned()));
        }
        Ok(())
    }

    /// What to say to someone whose month is full.
    pub fn month_is_full(&self) -> Refusal {
        Refusal::PlanLimit(format!(
            "{} classes a month",
            self.sessions_per_month.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kill_switch_and_the_pilot_decide_before_any_plan() {
        let ada = UserId::parse("ada").unwrap();
        let settings = |enabled, pilot: Option<&[&str]>| Settings {
            live_classes_enabled: enabled,
            pilot_trainer_ids: pilot
                .map(|ids| ids.iter().map(|id| UserId::parse(id).unwrap()).collect()),
            ..Settings::default()
        };
        assert_eq!(settings(true, None).enabled_for(&ada), Ok(()));
        assert_eq!(settings(true, Some(&["ada"])).enabled_for(&ada), Ok(()));
        for off in [
            settings(false, None),
            settings(false, Some(&["ada"])),
            settings(true, Some(&["bob"])),
            settings(true, Some(&[])),
        ] {
            assert_eq!(off.enabled_for(&ada), Err(Refusal::FeatureDisabled), "{off:?}");
        }
    }

    #[test]
    fn a_plan_is_needed_only_where_there_are_plans() {
        assert_eq!(Settings::default().limits(None), Ok(Limits::default()));
        let limits = Limits { max_duration_minutes: Some(60), ..Limits::default() };
        let settings =
            Settings { plans: [("pro".to_owned(), limits.clone())].into(), ..Settings::default() };
        assert_eq!(settings.limits(Some("pro")), Ok(limits));
        assert_eq!(settings.limits(Some("free")), Err(Refusal::PlanRequired));
        assert_eq!(settings.limits(None), Err(Refusal::PlanRequired));
    }
}
