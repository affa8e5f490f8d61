//! Rules of requests, outcomes and removals, in any order.

use proptest::prelude::*;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + 60 * minute).unwrap()
}

fn time(minute: i64) -> OutcomeTime {
    OutcomeTime { now: at(minute), spread: 0 }
}

fn request(email: &str, licence: LicenceMode) -> HostRequest {
    let email = Email::parse(email).unwrap();
    HostRequest { email, creation: HostCreation::Invite, licence }
}

fn found(user: &str, is_licensed: bool) -> FoundUser {
    let user = Some(ZoomUserId::parse(user).unwrap());
    FoundUser { user, account: Some("account".to_owned()), is_licensed }
}

fn new_host(licence: LicenceMode) -> PlatformHost {
    let trainer = UserId::parse("trainer-1").unwrap();
    PlatformHost::requested(trainer, request("ada@school.test", licence), at(0))
}

fn due_minutes(host: &PlatformHost, from: i64) -> i64 {
    let due_at = host.work.as_ref().unwrap().due_at;
    (due_at.as_second() - at(from).as_second()) / 60
}

#[test]
fn outcome_of_the_provisioning_decides_state_reason_and_next_look() {
    use HostOutcome::{Limited, Pending, Ready, Refused, Unanswered, Unlicensed};
    use HostReason as R;
    use HostState::{Active, Failed, Invited, Requested};
    let shortage = |reason| Unlicensed { found: found("u", false), reason };
    for (outcome, state, reason, next_minutes) in [
        (Ready(found("u", true)), Active, None, None),
        (Pending(found("u", true)), Invited, None, Some(5)),
        (shortage(R::NoLicence), Failed, Some(R::NoLicence), Some(60)),
        (shortage(R::NotAllowed), Failed, Some(R::NotAllowed), None),
        (Refused(R::ExistsElsewhere), Failed, Some(R::ExistsElsewhere), None),
        (Unanswered, Requested, Some(R::ZoomUnavailable), Some(5)),
        (Limited { after: SignedDuration::from_secs(60) }, Requested, None, Some(1)),
        (Refused(R::UserLimit), Failed, Some(R::UserLimit), Some(60)),
        (
            Limited { after: SignedDuration::from_hours(3) },
            Requested,
            Some(R::DailyLimit),
            Some(180),
        ),
    ] {
        let host = new_host(LicenceMode::Permanent).after(outcome.clone(), time(0));
        let next = host.work.as_ref().map(|_| due_minutes(&host, 0));
        assert_eq!((host.state, host.reason, next), (state, reason, next_minutes), "{outcome:?}");
    }
}

#[test]
fn unanswered_work_is_repeated_with_growing_delays_and_given_up() {
    let (mut host, mut minutes) = (new_host(LicenceMode::None), Vec::new());
    while host.work.is_some() {
        host = host.after(HostOutcome::Unanswered, time(0));
        minutes.extend(host.work.as_ref().map(|_| due_minutes(&host, 0)));
    }
    assert_eq!(minutes[..8], [5, 10, 20, 40, 80, 160, 320, 360]);
    assert_eq!(minutes.len(), 39);
    assert_eq!((host.state, host.reason), (HostState::Failed, Some(HostReason::ZoomUnavailable)));
    let spread = OutcomeTime { now: at(0), spread: 1000 };
    let host = new_host(LicenceMode::None).after(HostOutcome::Unanswered, spread);
    assert_eq!(due_minutes(&host, 0), 7, "up to a half more");
}

#[test]
fn invitation_is_looked_at_until_it_is_accepted_or_expires() {
    let mut host = new_host(LicenceMode::None);
    let (mut now, mut looks) = (0, 0);
    while host.state != HostState::Failed {
        host = host.after(HostOutcome::Pending(found("u", false)), time(now));
        if host.work.is_some() {
            now += due_minutes(&host, now);
        }
        looks += 1;
    }
    assert_eq!(host.reason, Some(HostReason::InvitationExpired));
    assert!(now >= 31 * 24 * 60 && looks < 450, "{now} {looks}");
    let again = host.with_request(request("ada@school.test", LicenceMode::None), at(now));
    let again = again.unwrap().unwrap().after(HostOutcome::Pending(found("u", false)), time(now));
    assert_eq!(again.state, HostState::Invited, "a new invitation has its own time");
}

#[test]
fn equal_request_changes_nothing_unless_the_last_one_failed() {
    let same = || request("ada@school.test", LicenceMode::Leased);
    let host = new_host(LicenceMode::Leased);
    assert_eq!(host.with_request(same(), at(1)), Ok(None));
    let active = host.after(HostOutcome::Ready(found("u", false)), time(1));
    assert_eq!(active.with_request(same(), at(2)), Ok(None));
    let failed = host.after(HostOutcome::Refused(HostReason::NotFound), time(1));
    let again = failed.with_request(same(), at(2)).unwrap().unwrap();
    assert_eq!((again.state, again.reason), (HostState::Requested, None));
    assert_eq!(due_minutes(&again, 2), 0);
    // Another licence keeps the host in use meanwhile.
    let permanent = request("ada@school.test", LicenceMode::Permanent);
    let changed = active.with_request(permanent, at(2)).unwrap().unwrap();
    assert_eq!((changed.state, changed.licence), (HostState::Active, LicenceMode::Permanent));
    let unanswered = changed.after(HostOutcome::Unanswered, time(2));
    assert_eq!((unanswered.state, unanswered.reason), (HostState::Active, None));
}

#[test]
fn other_address_is_another_user_and_returns_the_licence_of_the_former_one() {
    let other = || request("eve@school.test", LicenceMode::Permanent);
    let host = new_host(LicenceMode::Permanent);
    let licensed = host.after(HostOutcome::Ready(found("u", true)), time(1));
    let changed = licensed.with_request(other(), at(2)).unwrap().unwrap();
    assert_eq!(changed.state, HostState::Requested);
    assert_eq!((&changed.zoom_user, &changed.held), (&None, &None));
    assert_eq!(changed.former_user, found("u", true).user);
    let removed = licensed.with_removal(ZoomUserRemoval::Deactivate, at(2)).unwrap();
    assert!(removed.with_request(other(), at(3)).is_err(), "the removal comes first");
    let removed = removed.after(HostOutcome::Removed, time(3));
    assert!(removed.with_request(other(), at(4)).unwrap().is_some());
}

#[test]
fn removal_is_idempotent_and_repeats_a_failed_one() {
    let keep = ZoomUserRemoval::Keep;
    let host = new_host(LicenceMode::Permanent);
    let host = host.after(HostOutcome::Ready(found("u", true)), time(1));
    let removed = host.with_removal(keep, at(2)).unwrap();
    assert_eq!(removed.state, HostState::Removed);
    assert!(removed.active_user().is_none() && removed.held.is_some(), "not given back yet");
    assert_eq!(removed.with_removal(keep, at(3)), None);
    let refused = removed.after(HostOutcome::Refused(HostReason::NotAllowed), time(3));
    assert_eq!((refused.state, refused.reason), (HostState::Removed, Some(HostReason::NotAllowed)));
    let done = refused.with_removal(keep, at(4)).unwrap().after(HostOutcome::Removed, time(4));
    assert_eq!((done.reason, done.held.clone(), done.work.clone()), (None, None, None));
    assert_eq!(done.with_removal(keep, at(5)), None);
    assert!(done.with_removal(ZoomUserRemoval::Disassociate, at(5)).is_some());
}

#[test]
fn licence_follows_the_mode_and_keeps_its_date() {
    for (licence, is_licensed, is_held, expected) in [
        (LicenceMode::Permanent, false, false, Some(true)),
        (LicenceMode::Permanent, true, false, None),
        (LicenceMode::None, true, true, Some(false)),
        (LicenceMode::None, true, false, None),
        (LicenceMode::None, false, false, None),
        (LicenceMode::Leased, true, true, None),
        (LicenceMode::Leased, false, false, None),
    ] {
        let held = is_held.then_some(HeldLicence { since: at(0), until: None });
        let host = PlatformHost { held, ..new_host(licence) };
        assert_eq!(host.licence_to_set(is_licensed), expected, "{licence:?} {is_licensed}");
    }
    let ready =
        |host: PlatformHost, now| host.after(HostOutcome::Ready(found("u", true)), time(now));
    let with = |host: &PlatformHost, licence, now| {
        host.with_request(request("ada@school.test", licence), at(now)).unwrap().unwrap()
    };
    let permanent = ready(new_host(LicenceMode::Permanent), 1);
    assert_eq!(permanent.held, Some(HeldLicence { since: at(1), until: None }));
    let leased = ready(with(&permanent, LicenceMode::Leased, 2), 3);
    assert_eq!(leased.held, Some(HeldLicence { since: at(1), until: Some(at(3)) }));
    let permanent = ready(with(&leased, LicenceMode::Permanent, 4), 5);
    assert_eq!(permanent.held, Some(HeldLicence { since: at(1), until: None }));
}

#[derive(Clone, Debug)]
enum Step {
    Request(HostRequest),
    Remove(ZoomUserRemoval),
    Outcome(HostOutcome),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let licence =
        prop::sample::select(vec![LicenceMode::None, LicenceMode::Permanent, LicenceMode::Leased]);
    let email = prop::sample::select(vec!["ada@school.test", "eve@school.test"]);
    let user = (prop::sample::select(vec!["u", "v"]), any::<bool>());
    let user = user.prop_map(|(user, is_licensed)| found(user, is_licensed));
    let reason = prop::sample::select(HostReason::ALL.to_vec());
    let outcome = prop_oneof![
        user.clone().prop_map(HostOutcome::Ready),
        user.clone().prop_map(HostOutcome::Pending),
        (user, reason.clone())
            .prop_map(|(found, reason)| HostOutcome::Unlicensed { found, reason }),
        reason.prop_map(HostOutcome::Refused),
        (1..100_000i64).prop_map(|s| HostOutcome::Limited { after: SignedDuration::from_secs(s) }),
        Just(HostOutcome::Unanswered),
        Just(HostOutcome::Removed),
    ];
    let removal = prop::sample::select(vec![
        ZoomUserRemoval::Keep,
        ZoomUserRemoval::Deactivate,
        ZoomUserRemoval::Disassociate,
    ]);
    let step = prop_oneof![
        (email, licence).prop_map(|(email, licence)| Step::Request(request(email, licence))),
        removal.prop_map(Step::Remove),
        outcome.clone().prop_map(Step::Outcome),
        outcome.prop_map(Step::Outcome),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn any_order_of_requests_and_outcomes_leaves_a_consistent_host(steps in steps()) {
        let mut host = new_host(LicenceMode::Leased);
        for (minute, step) in (1..).zip(steps) {
            let before = host.clone();
            let next = match step.clone() {
                Step::Request(request) => host.with_request(request, at(minute)).unwrap_or(None),
                Step::Remove(zoom) => host.with_removal(zoom, at(minute)),
                Step::Outcome(outcome) => Some(host.after(outcome, time(minute))),
            };
            host = next.unwrap_or(host);
            prop_assert!(host == before || host.version == before.version + 1);
            let task = host.work.as_ref().map(|work| work.task);
            match host.state {
                HostState::Active => prop_assert!(host.zoom_user.is_some() && host.reason.is_none()),
                HostState::Failed => prop_assert!(host.reason.is_some()),
                HostState::Requested => prop_assert_eq!(task, Some(HostTask::Provision)),
                HostState::Invited => prop_assert!(task.is_some() && host.invited_at.is_some()),
                HostState::Removed => {
                    prop_assert!(host.removal.is_some());
                    let is_removal = matches!(task, None | Some(HostTask::Remove { .. }));
                    prop_assert!(is_removal);
                }
            }
            prop_assert_eq!(host.removal.is_some(), host.state == HostState::Removed);
            if host.held.is_some() && host.licence == LicenceMode::None {
                // It is still to be given back, or Zoom did not allow that.
                prop_assert!(task.is_some() || matches!(host.state, HostState::Failed | HostState::Removed));
            }
            if let Some(work) = &host.work {
                prop_assert!(work.attempts < ATTEMPTS_LIMIT);
                prop_assert!(host == before || work.due_at >= at(minute) || before.work.as_ref() == Some(work));
            }
            // Repeating a request at once changes nothing, unless it repeats a failed one.
            if let Step::Request(request) = step && host.state != HostState::Failed && host != before {
                prop_assert_eq!(host.with_request(request, at(minute)), Ok(None));
            }
        }
    }
}
