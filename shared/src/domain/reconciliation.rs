//! The plan for comparing ended sessions with Zoom, in case webhook events are lost.
//!
//! Each task of a session has a list of times after the planned end. A task that has failed is tried again, with a growing
//! delay. After some attempts it waits for its next time, so that a session is looked at a limited number of times.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::run::RunKind;
use super::session::{Session, Status};
use super::time::plus_minutes;

/// The first comparison. Zoom has ended most meetings by then.
pub const FIRST_LOOK_MINUTES: i64 = 30;
const HOUR_MINUTES: i64 = 60;
const DAY_MINUTES: i64 = 24 * HOUR_MINUTES;
/// When Zoom's list of participants is read. It is complete after an hour as a rule, and may lag.
const PARTICIPANTS_MINUTES: [i64; 2] = [HOUR_MINUTES, DAY_MINUTES];
/// How long lost starts and ends are looked for. The attendance report is final an hour later.
const LIFECYCLE_MINUTES: i64 = DAY_MINUTES;
/// When a meeting that has ended is looked at again, because another instance may have run unnoticed: after the session's
/// window has closed, together with the recordings, and before the last look at the participants.
const UNNOTICED_INSTANCE_MINUTES: [i64; 2] = [FIRST_LOOK_MINUTES + 2 * HOUR_MINUTES, DAY_MINUTES];
/// How long a session stays in the queue, so that a requested run finds it. Zoom keeps most data longer.
const HISTORY_DAYS: i64 = 30;
/// Attempts at a task before it waits for its next time.
const ATTEMPTS: u32 = 6;
/// The first delay after a failure. It doubles with each failure.
const RETRY_MINUTES: i64 = 15;
const RETRY_LIMIT_MINUTES: i64 = 4 * HOUR_MINUTES;

/// For how many days after a session its recordings are compared with Zoom's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingDays {
    days: u16,
}

impl RecordingDays {
    pub const DEFAULT_DAYS: u16 = 7;
    /// Sessions stay in the queue for this time.
    pub const LIMIT_DAYS: u16 = 30;

    /// Returns `None` for a number of days that is not from 1 to [`Self::LIMIT_DAYS`].
    pub fn from_days(days: u16) -> Option<Self> {
        (1..=Self::LIMIT_DAYS).contains(&days).then_some(Self { days })
    }
}

impl Default for RecordingDays {
    fn default() -> Self {
        Self { days: Self::DEFAULT_DAYS }
    }
}

/// One kind of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileTask {
    /// Looks for starts and ends of the meeting that Zoom's events did not report.
    Lifecycle,
    /// Compares the files with Zoom's list of recordings.
    Recordings,
    /// Reads Zoom's list of participants.
    Participants,
}

impl ReconcileTask {
    /// The tasks that the sweep carries out, in their order.
    pub const PLANNED: &[Self] = &[Self::Lifecycle, Self::Recordings, Self::Participants];

    /// Returns the kind of the runs that carry out the task on request.
    pub fn run_kind(self) -> RunKind {
        match self {
            Self::Recordings => RunKind::Recordings,
            Self::Lifecycle | Self::Participants => RunKind::Attendance,
        }
    }
}

/// The progress of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskProgress {
    /// When the task was last carried out or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// The failed attempts since then.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// When the next attempt is due after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The progress of all tasks of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReconcileProgress {
    pub lifecycle: TaskProgress,
    pub recordings: TaskProgress,
    pub participants: TaskProgress,
}

/// The outcome of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    Done,
    /// Zoom refuses until somebody acts, or has nothing to compare. The task waits for its next time.
    Refused,
    /// The attempt failed, or Zoom's data is incomplete. It is repeated, but not before `after` has passed.
    Again {
        after: SignedDuration,
    },
}

impl TaskProgress {
    /// Returns the progress after an attempt at `now`.
    pub fn after(self, outcome: TaskOutcome, now: Timestamp) -> Self {
        let carried_out = Self { last_at: Some(now), ..Self::default() };
        let TaskOutcome::Again { after } = outcome else { return carried_out };
        if self.failures + 1 >= ATTEMPTS {
            return carried_out;
        }
        let minutes = RETRY_MINUTES.saturating_mul(1 << self.failures).min(RETRY_LIMIT_MINUTES);
        let delay = SignedDuration::from_mins(minutes).max(after);
        let retry_at = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        Self { failures: self.failures + 1, retry_at: Some(retry_at), ..self }
    }
}

impl ReconcileProgress {
    pub fn of(&self, task: ReconcileTask) -> TaskProgress {
        match task {
            ReconcileTask::Lifecycle => self.lifecycle,
            ReconcileTask::Recordings => self.recordings,
            ReconcileTask::Participants => self.participants,
        }
    }

    /// Returns the progress after an attempt at `task`.
    pub fn after(self, task: ReconcileTask, outcome: TaskOutcome, now: Timestamp) -> Self {
        let next = self.of(task).after(outcome, now);
        match task {
            ReconcileTask::Lifecycle => Self { lifecycle: next, ..self },
            ReconcileTask::Recordings => Self { recordings: next, ..self },
            ReconcileTask::Participants => Self { participants: next, ..self },
        }
    }

    /// Returns the progress after a start or an end has become known. Zoom's lists of participants are read again, because an
    /// earlier look did not know the meeting instance.
    pub fn with_corrected_lifecycle(self) -> Self {
        Self { participants: TaskProgress::default(), ..self }
    }
}

/// The facts of a session on which its plan depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcilePlan {
    planned_end: Timestamp,
    /// Whether Zoom has reported a meeting instance.
    was_held: bool,
    /// Whether Zoom has reported the end of every meeting instance. An inferred end is not enough.
    is_ended: bool,
    recording_days: RecordingDays,
}

impl ReconcilePlan {
    pub fn of_session(session: &Session, recording_days: RecordingDays) -> Self {
        Self {
            planned_end: session.planned_end(),
            was_held: !session.meeting_instances.is_empty(),
            is_ended: session.status == Status::Ended && !has_unreported_end(session),
            recording_days,
        }
    }

    /// Returns the tasks that are due at `now`.
    pub fn due_tasks(&self, progress: &ReconcileProgress, now: Timestamp) -> Vec<ReconcileTask> {
        let is_due =
            |task: &ReconcileTask| self.due_at(*task, progress).is_some_and(|at| at <= now);
        ReconcileTask::PLANNED.iter().copied().filter(is_due).collect()
    }

    /// Returns the time of the next look: when a task is due, or when the session leaves the queue.
    pub fn next_look(&self, progress: &ReconcileProgress) -> Timestamp {
        let planned = ReconcileTask::PLANNED.iter();
        let due = planned.filter_map(|task| self.due_at(*task, progress));
        due.min().unwrap_or_else(|| self.leaves_at())
    }

    /// Returns whether the session leaves the queue at `now`, because no task is left.
    pub fn is_over(&self, progress: &ReconcileProgress, now: Timestamp) -> bool {
        now >= self.leaves_at() && self.next_look(progress) >= self.leaves_at()
    }

    fn leaves_at(&self) -> Timestamp {
        plus_minutes(self.planned_end, (HISTORY_DAYS + 1) * DAY_MINUTES)
    }

    /// Returns when a task is due: at its retry, or at the first of its times after the last attempt.
    fn due_at(&self, task: ReconcileTask, progress: &ReconcileProgress) -> Option<Timestamp> {
        let TaskProgress { last_at, retry_at, .. } = progress.of(task);
        if retry_at.is_some() {
            return retry_at;
        }
        let mut times =
            self.minutes(task).into_iter().map(|after| plus_minutes(self.planned_end, after));
        times.find(|at| last_at.is_none_or(|last_at| *at > last_at))
    }

    /// Returns the times of a task in minutes after the planned end.
    fn minutes(&self, task: ReconcileTask) -> Vec<i64> {
        match task {
            ReconcileTask::Lifecycle if self.is_ended => {
                [&[FIRST_LOOK_MINUTES], &UNNOTICED_INSTANCE_MINUTES[..]].concat()
            }
            ReconcileTask::Lifecycle => hourly(LIFECYCLE_MINUTES),
            // A session of which no meeting instance is known may turn out to have one.
            ReconcileTask::Recordings if !self.was_held => hourly(LIFECYCLE_MINUTES),
            ReconcileTask::Recordings => hourly(i64::from(self.recording_days.days) * DAY_MINUTES),
            ReconcileTask::Participants => PARTICIPANTS_MINUTES.to_vec(),
        }
    }
}

/// Returns the times every hour from the first look on, for this number of minutes.
fn hourly(minutes: i64) -> Vec<i64> {
    let step = usize::try_from(HOUR_MINUTES).unwrap_or(1);
    (FIRST_LOOK_MINUTES..=FIRST_LOOK_MINUTES + minutes).step_by(step).collect()
}

/// Returns whether the end of one of the session's meeting instances is inferred or unknown.
fn has_unreported_end(session: &Session) -> bool {
    let window = session.session_window();
    let mut own = window.own_instances(&session.meeting_instances);
    own.any(|instance| instance.ended_at.is_none())
}

/// Returns when a session is first compared with Zoom.
pub fn first_look(session: &Session) -> Timestamp {
    plus_minutes(session.planned_end(), FIRST_LOOK_MINUTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::meeting_instance::MeetingInstance;
    use crate::domain::session::testing;

    const END: &str = "2026-12-01T10:00:00Z";

    fn at(minute: i64) -> Timestamp {
        plus_minutes(END.parse().unwrap(), minute)
    }

    fn plan(was_held: bool, is_ended: bool) -> ReconcilePlan {
        let recording_days = RecordingDays::default();
        ReconcilePlan { planned_end: at(0), was_held, is_ended, recording_days }
    }

    /// The progress of a task that was last carried out in this minute.
    fn carried_out(minute: i64) -> TaskProgress {
        TaskProgress { last_at: Some(at(minute)), ..TaskProgress::default() }
    }

    #[test]
    fn tasks_are_due_at_their_times_after_the_planned_end() {
        use ReconcileTask::{Lifecycle, Participants, Recordings};
        let day = DAY_MINUTES;
        let (held, lost) = (plan(true, true), plan(false, false));
        for (plan, task, last, expected) in [
            (held, Lifecycle, None, Some(30)),
            (held, Lifecycle, Some(30), Some(150)),
            (held, Lifecycle, Some(150), Some(day)),
            (held, Lifecycle, Some(day), None),
            (lost, Lifecycle, Some(30), Some(90)),
            (plan(true, false), Lifecycle, Some(95), Some(150)),
            (lost, Lifecycle, Some(day + 30), None),
            (held, Recordings, None, Some(30)),
            (held, Recordings, Some(30), Some(90)),
            (held, Recordings, Some(89), Some(90)),
            // A sweep that was late for hours looks once.
            (held, Recordings, Some(400), Some(450)),
            (held, Recordings, Some(7 * day), Some(7 * day + 30)),
            (held, Recordings, Some(7 * day + 30), None),
            (lost, Recordings, Some(30), Some(90)),
            (lost, Recordings, Some(day + 30), None),
            (held, Participants, None, Some(60)),
            (held, Participants, Some(60), Some(day)),
            (held, Participants, Some(day), None),
            (held, Participants, Some(2 * day), None),
        ] {
            let progress = last.map_or_else(TaskProgress::default, carried_out);
            let progress = match task {
                Lifecycle => ReconcileProgress { lifecycle: progress, ..Default::default() },
                Recordings => ReconcileProgress { recordings: progress, ..Default::default() },
                Participants => ReconcileProgress { participants: progress, ..Default::default() },
            };
            let due = plan.due_at(task, &progress);
            assert_eq!(due, expected.map(at), "{plan:?} {task:?} {last:?}");
        }
    }

    #[test]
    fn inferred_end_is_looked_for_like_a_lost_one() {
        let instance = |ended: Option<i64>, inferred: Option<i64>| MeetingInstance {
            uuid: "a".to_owned(),
            started_at: at(-60),
            ended_at: ended.map(at),
            inferred_end: inferred.map(at),
            host_joined_at: None,
        };
        for (ended, inferred, expected) in
            [(Some(0), None, true), (None, Some(90), false), (None, None, false)]
        {
            let meeting_instances = vec![instance(ended, inferred)];
            let session = Session { meeting_instances, ..testing::session(at(-60), Status::Ended) };
            let plan = ReconcilePlan::of_session(&session, RecordingDays::default());
            assert_eq!(plan.is_ended, expected, "{ended:?} {inferred:?}");
        }
    }

    #[test]
    fn failures_back_off_and_then_wait_for_the_next_time() {
        let again = TaskOutcome::Again { after: SignedDuration::ZERO };
        let mut progress = TaskProgress::default();
        let mut now = 30;
        for delay in [15, 30, 60, 120, 240] {
            progress = progress.after(again, at(now));
            assert_eq!(progress.retry_at, Some(at(now + delay)), "{now}");
            now += delay;
        }
        assert_eq!(progress.after(again, at(now)), carried_out(now));
        assert_eq!(progress.after(TaskOutcome::Done, at(now)), carried_out(now));
        let limited = TaskOutcome::Again { after: SignedDuration::from_hours(9) };
        let waiting = TaskProgress::default().after(limited, at(30));
        assert_eq!(waiting.retry_at, Some(at(30 + 9 * 60)));
    }

    #[test]
    fn session_leaves_the_queue_when_nothing_is_left() {
        let done = ReconcileProgress {
            lifecycle: carried_out(2 * DAY_MINUTES),
            recordings: carried_out(8 * DAY_MINUTES),
            participants: carried_out(2 * DAY_MINUTES),
        };
        let plan = plan(true, true);
        let leaves_at = at(31 * DAY_MINUTES);
        assert_eq!(plan.next_look(&done), leaves_at);
        assert!(!plan.is_over(&done, at(9 * DAY_MINUTES)) && plan.is_over(&done, leaves_at));
        let late = ReconcileProgress::default();
        assert!(!plan.is_over(&late, leaves_at), "the sweep did not run for a month");
    }
}
