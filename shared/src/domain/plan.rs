//! The platform's settings and the limits of a trainer's plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bookings::OverlapRule;
use super::draft::Draft;
use super::hosting::Hosting;
use super::id::UserId;
use super::refusal::Refusal;

/// The settings for live classes that the host platform sends. The store reads and writes its own form of them, which
/// accepts the settings of a newer version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformSettings {
    /// The kill switch. `false` stops scheduling and editing, but not cancelling and joining.
    #[serde(default = "default_true")]
    pub live_classes_enabled: bool,
    /// The limits by plan name. If it is empty, trainers need no plan.
    #[serde(default)]
    pub plans: BTreeMap<String, PlanLimits>,
    /// If set, only these trainers have live classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pilot_trainer_ids: Option<Vec<UserId>>,
    /// The number of licences of the platform's own Zoom account that may be assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_limit: Option<u32>,
    /// The result of a start without a free licence. Absent means a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_shortage: Option<LicenceShortage>,
    /// How many sessions a Zoom user of the platform's account may host at a time. Absent means
    /// [`DEFAULT_HOST_CAPACITY`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_capacity: Option<u32>,
    /// The result of an overlap in a trainer's own account. Absent means a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<OverlapReaction>,
}

/// The result of a start if the host has no licence and none is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenceShortage {
    /// The trainer cannot start the class.
    Refuse,
    /// The class starts, and Zoom ends its meeting after 40 minutes. A short class is better than none.
    #[default]
    Warn,
}

/// Zoom lets a user without a larger plan host one meeting at a time.
pub const DEFAULT_HOST_CAPACITY: u32 = 1;

/// The reaction to an overlap of sessions in a trainer's own Zoom account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapReaction {
    #[default]
    Warn,
    Refuse,
}

fn default_true() -> bool {
    true
}

impl Default for PlatformSettings {
    fn default() -> Self {
        Self {
            live_classes_enabled: true,
            plans: BTreeMap::new(),
            pilot_trainer_ids: None,
            licence_limit: None,
            licence_shortage: None,
            host_capacity: None,
            overlap: None,
        }
    }
}

/// The limits of one plan. An absent value is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimits {
    /// The number of sessions that start in one calendar month (UTC) and are not cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions_per_month: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_minutes: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_invitees: Option<u32>,
    /// Whether sessions may be recorded. Absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<bool>,
}

impl PlatformSettings {
    /// Checks that live classes are enabled for `trainer`.
    pub fn check_enabled(&self, trainer: &UserId) -> Result<(), Refusal> {
        let in_pilot = self.pilot_trainer_ids.as_ref().is_none_or(|pilot| pilot.contains(trainer));
        if self.live_classes_enabled && in_pilot { Ok(()) } else { Err(Refusal::FeatureDisabled) }
    }

    /// Returns the settings with the defaults of absent values.
    pub fn with_defaults(self) -> Self {
        Self {
            licence_shortage: self.licence_shortage.or_else(|| Some(LicenceShortage::default())),
            host_capacity: self.host_capacity.or(Some(DEFAULT_HOST_CAPACITY)),
            overlap: self.overlap.or_else(|| Some(OverlapReaction::default())),
            ..self
        }
    }

    /// Returns how many sessions the host of a session may host at a time. With `allow_overlap` the caller insists.
    pub fn overlap_rule(&self, hosting: Hosting, allow_overlap: bool) -> OverlapRule {
        match (hosting, self.overlap.unwrap_or_default()) {
            _ if allow_overlap => OverlapRule::Unlimited,
            (Hosting::Platform, _) => {
                OverlapRule::AtMost(self.host_capacity.unwrap_or(DEFAULT_HOST_CAPACITY))
            }
            (Hosting::Trainer, OverlapReaction::Refuse) => OverlapRule::AtMost(1),
            (Hosting::Trainer, OverlapReaction::Warn) => OverlapRule::Unlimited,
        }
    }

    /// Returns whether a plan exists. Without plans, every name is accepted, because none has limits.
    pub fn has_plan(&self, plan: &str) -> bool {
        self.plans.is_empty() || self.plans.contains_key(plan)
    }

    /// Returns the limits of `plan`.
    pub fn plan_limits(&self, plan: Option<&str>) -> Result<PlanLimits, Refusal> {
        if self.plans.is_empty() {
            return Ok(PlanLimits::default());
        }
        plan.and_then(|plan| self.plans.get(plan)).cloned().ok_or(Refusal::PlanRequired)
    }
}

impl PlanLimits {
    /// Checks a draft against the limits, except for the monthly quota, which the store counts.
    pub fn check_draft(&self, draft: &Draft) -> Result<(), Refusal> {
        if let Some(max) = self.max_duration_minutes
            && draft.details.duration_minutes > max
        {
            return Err(Refusal::PlanLimit(format!("classes of at most {max} minutes")));
        }
        if let Some(max) = self.max_invitees
            && draft.invitee_count() > max as usize
        {
            return Err(Refusal::PlanLimit(format!("at most {max} invitees")));
        }
        if self.recording == Some(false) && draft.details.record_session {
            let default = "no recording (the trainer's default for `record_session` is true)";
            let limit = if draft.is_recorded_by_default { default } else { "no recording" };
            return Err(Refusal::PlanLimit(limit.to_owned()));
        }
        Ok(())
    }

    /// Returns the refusal for an exhausted monthly quota.
    pub fn monthly_limit_refusal(&self) -> Refusal {
        Refusal::PlanLimit(format!(
            "{} classes per month",
            self.sessions_per_month.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kill_switch_and_pilot_list_apply_before_plans() {
        let ada = UserId::parse("ada").unwrap();
        let settings = |enabled, pilot: Option<&[&str]>| PlatformSettings {
            live_classes_enabled: enabled,
            pilot_trainer_ids: pilot
                .map(|ids| ids.iter().map(|id| UserId::parse(id).unwrap()).collect()),
            ..PlatformSettings::default()
        };
        assert_eq!(settings(true, None).check_enabled(&ada), Ok(()));
        assert_eq!(settings(true, Some(&["ada"])).check_enabled(&ada), Ok(()));
        for off in [
            settings(false, None),
            settings(false, Some(&["ada"])),
            settings(true, Some(&["bob"])),
            settings(true, Some(&[])),
        ] {
            assert_eq!(off.check_enabled(&ada), Err(Refusal::FeatureDisabled), "{off:?}");
        }
    }

    #[test]
    fn defaults_replace_only_absent_settings() {
        let defaults = PlatformSettings::default().with_defaults();
        let expected = PlatformSettings {
            licence_shortage: Some(LicenceShortage::Warn),
            host_capacity: Some(1),
            overlap: Some(OverlapReaction::Warn),
            ..PlatformSettings::default()
        };
        assert_eq!(defaults, expected);
        let given = PlatformSettings {
            licence_shortage: Some(LicenceShortage::Refuse),
            host_capacity: Some(2),
            overlap: Some(OverlapReaction::Refuse),
            ..PlatformSettings::default()
        };
        assert_eq!(given.clone().with_defaults(), given);
    }

    #[test]
    fn overlaps_are_limited_by_the_hosting_account_and_the_settings() {
        let settings = |host_capacity, overlap| PlatformSettings {
            host_capacity,
            overlap,
            ..PlatformSettings::default()
        };
        let refuse = Some(OverlapReaction::Refuse);
        use OverlapRule::{AtMost, Unlimited};
        // The settings, and the rule in the platform's account and in a trainer's own.
        for (settings, in_platform, in_own) in [
            (settings(None, None), AtMost(1), Unlimited),
            (settings(Some(2), None), AtMost(2), Unlimited),
            (settings(None, refuse), AtMost(1), AtMost(1)),
            (settings(Some(2), refuse), AtMost(2), AtMost(1)),
            (settings(Some(2), Some(OverlapReaction::Warn)), AtMost(2), Unlimited),
        ] {
            assert_eq!(
                settings.overlap_rule(Hosting::Platform, false),
                in_platform,
                "{settings:?}"
            );
            assert_eq!(settings.overlap_rule(Hosting::Trainer, false), in_own, "{settings:?}");
            for hosting in [Hosting::Platform, Hosting::Trainer] {
                assert_eq!(settings.overlap_rule(hosting, true), Unlimited);
            }
        }
    }

    #[test]
    fn plan_is_required_only_if_plans_are_configured() {
        assert_eq!(PlatformSettings::default().plan_limits(None), Ok(PlanLimits::default()));
        let limits = PlanLimits { max_duration_minutes: Some(60), ..PlanLimits::default() };
        let settings = PlatformSettings {
            plans: [("pro".to_owned(), limits.clone())].into(),
            ..PlatformSettings::default()
        };
        assert_eq!(settings.plan_limits(Some("pro")), Ok(limits));
        assert_eq!(settings.plan_limits(Some("free")), Err(Refusal::PlanRequired));
        assert_eq!(settings.plan_limits(None), Err(Refusal::PlanRequired));
    }
}
