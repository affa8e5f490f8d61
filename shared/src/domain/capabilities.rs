//! The capabilities of a caller: whether live classes are enabled, and the limits that pages show.

use super::caller::{Caller, Role};
use super::directory::User;
use super::hosting::{Hosting, HostingPolicy};
use super::plan::{PlanLimits, PlatformSettings};
use super::refusal::Refusal;

/// The reason why a caller has no live classes. Its words are the codes of the refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    FeatureDisabled,
    PlanRequired,
}

/// The stored data on which the capabilities depend.
#[derive(Clone, Debug, Default)]
pub struct CapabilitySources {
    pub settings: PlatformSettings,
    /// `None` if the directory does not have the person.
    pub user: Option<User>,
    pub has_active_host: bool,
    /// How many sessions of the current month are counted against the plan.
    pub used_this_month: u32,
}

/// The result for one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub disabled: Option<DisabledReason>,
    pub plan: Option<String>,
    pub limits: PlanLimits,
    pub used_this_month: u32,
    /// The account that hosts the trainer's new meetings. `None` for a caller who is no trainer.
    pub hosting: Option<Hosting>,
    pub recording_allowed: bool,
}

impl Capabilities {
    /// Decides the capabilities of a caller. The pilot list and plans concern trainers only.
    pub fn decide(caller: &Caller, policy: HostingPolicy, sources: CapabilitySources) -> Self {
        let CapabilitySources { settings, user, has_active_host, used_this_month } = sources;
        let is_trainer = caller.has_role(Role::Trainer);
        let plan = user.as_ref().and_then(|user| user.plan.clone());
        let limits = settings.plan_limits(plan.as_deref());
        let disabled = match (is_trainer, &limits) {
            _ if !settings.live_classes_enabled => Some(DisabledReason::FeatureDisabled),
            (true, _) if settings.check_enabled(&caller.id).is_err() => {
                Some(DisabledReason::FeatureDisabled)
            }
            (true, Err(Refusal::PlanRequired)) => Some(DisabledReason::PlanRequired),
            _ => None,
        };
        let hosting = user.and_then(|user| user.hosting);
        let hosting = is_trainer.then(|| policy.decide(hosting, has_active_host));
        let limits = limits.unwrap_or_default();
        Self {
            recording_allowed: is_trainer && disabled.is_none() && limits.recording != Some(false),
            disabled,
            plan,
            limits,
            used_this_month,
            hosting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::text::{Email, PersonName};

    const TRAINER: &[Role] = &[Role::Trainer];

    fn caller(roles: &[Role]) -> Caller {
        let id = UserId::parse("ada").unwrap();
        Caller { id, roles: roles.iter().copied().collect(), verified_email: None, name: None }
    }

    fn user(plan: Option<&str>, hosting: Option<Hosting>) -> User {
        User {
            id: UserId::parse("ada").unwrap(),
            email: Email::parse("ada@example.test").ok(),
            name: PersonName::parse("Ada").unwrap(),
            role: "trainer".to_owned(),
            plan: plan.map(str::to_owned),
            locale: None,
            hosting,
            former_emails: Vec::new(),
            defaults: Default::default(),
        }
    }

    fn settings(enabled: bool, pilot: Option<&[&str]>, plans: &[&str]) -> PlatformSettings {
        let limits = PlanLimits { recording: Some(false), ..PlanLimits::default() };
        PlatformSettings {
            live_classes_enabled: enabled,
            pilot_trainer_ids: pilot
                .map(|ids| ids.iter().map(|id| UserId::parse(id).unwrap()).collect()),
            plans: plans.iter().map(|name| ((*name).to_owned(), limits.clone())).collect(),
            ..PlatformSettings::default()
        }
    }

    #[test]
    fn reason_follows_the_switch_then_the_pilot_list_then_the_plan() {
        use DisabledReason::{FeatureDisabled, PlanRequired};
        let both: &[Role] = &[Role::Student, Role::Trainer];
        let (student, service): (&[Role], &[Role]) = (&[Role::Student], &[Role::Service]);
        let bob: Option<&[&str]> = Some(&["bob"]);
        // The roles, the settings, the plan, the reason, and whether recording is allowed.
        for (roles, settings, plan, reason, recording) in [
            (TRAINER, settings(true, None, &[]), None, None, true),
            (TRAINER, settings(true, Some(&["ada"]), &[]), None, None, true),
            (TRAINER, settings(true, bob, &["pro"]), None, Some(FeatureDisabled), false),
            (TRAINER, settings(false, None, &["pro"]), None, Some(FeatureDisabled), false),
            (TRAINER, settings(true, None, &["pro"]), None, Some(PlanRequired), false),
            (TRAINER, settings(true, None, &["pro"]), Some("free"), Some(PlanRequired), false),
            (TRAINER, settings(true, None, &["pro"]), Some("pro"), None, false),
            (both, settings(true, bob, &[]), None, Some(FeatureDisabled), false),
            (student, settings(true, bob, &["pro"]), None, None, false),
            (student, settings(false, None, &[]), None, Some(FeatureDisabled), false),
            (service, settings(true, bob, &["pro"]), None, None, false),
        ] {
            let described = format!("{roles:?} {settings:?} {plan:?}");
            let user = Some(user(plan, None));
            let sources = CapabilitySources { settings, user, ..CapabilitySources::default() };
            let decided = Capabilities::decide(&caller(roles), HostingPolicy::Trainer, sources);
            assert_eq!(decided.disabled, reason, "{described}");
            assert_eq!(decided.recording_allowed, recording, "{described}");
            assert_eq!(decided.plan.as_deref(), plan, "{described}");
        }
    }

    #[test]
    fn hosting_is_decided_for_trainers_as_for_a_new_meeting() {
        let both = HostingPolicy::Both;
        for (roles, setting, has_active_host, expected) in [
            (TRAINER, None, false, Some(Hosting::Trainer)),
            (TRAINER, None, true, Some(Hosting::Platform)),
            (TRAINER, Some(Hosting::Platform), false, Some(Hosting::Platform)),
            (&[Role::Admin], Some(Hosting::Platform), true, None),
        ] {
            let user = Some(user(None, setting));
            let sources = CapabilitySources { user, has_active_host, ..Default::default() };
            let decided = Capabilities::decide(&caller(roles), both, sources);
            assert_eq!(decided.hosting, expected, "{roles:?} {setting:?} {has_active_host}");
        }
    }
}
