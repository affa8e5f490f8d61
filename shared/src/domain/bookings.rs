//! Bookings: the times for which Zoom users host sessions.
//!
//! A host runs one meeting at a time, or a few with a larger Zoom plan. Each session on Zoom has a booking in the calendar of
//! its host, from the planned start to the planned end. Adjacent sessions do not overlap.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::id::SessionId;
use super::session::{Provider, Session, SessionDetails, Status};
use super::time::{plus_minutes, utc_day};

/// The time for which a Zoom user hosts a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The pseudonym of the Zoom user.
    pub host_user: String,
    pub session: SessionId,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
}

impl Booking {
    /// Returns the booking of a session with these details.
    pub fn new(host_user: &str, session: &SessionId, details: &SessionDetails) -> Self {
        Self {
            host_user: host_user.to_owned(),
            session: session.clone(),
            starts_at: details.starts_at,
            ends_at: plus_minutes(details.starts_at, details.duration_minutes.into()),
        }
    }

    /// Returns the booking of a stored session. `None` if no known Zoom user hosts it, or if it is cancelled.
    pub fn of_session(session: &Session) -> Option<Self> {
        let is_booked = session.provider == Provider::Zoom && session.status != Status::Cancelled;
        let host_user = session.meeting.host_user.as_deref().filter(|_| is_booked)?;
        Some(Self::new(host_user, &session.id, &session.details))
    }

    /// Returns the UTC days of the booking. A session lasts eight hours at most, so these are one or two.
    pub fn days(&self) -> Vec<String> {
        let last_moment = self.ends_at.saturating_sub(SignedDuration::from_secs(1));
        let mut days =
            vec![utc_day(self.starts_at), utc_day(last_moment.unwrap_or(self.starts_at))];
        days.dedup();
        days
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.host_user == other.host_user
            && self.session != other.session
            && self.starts_at < other.ends_at
            && other.starts_at < self.ends_at
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.starts_at <= at && at < self.ends_at
    }
}

/// How many sessions a Zoom user may host at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapRule {
    Unlimited,
    AtMost(u32),
}

/// The bookings of Zoom users on some days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookingCalendar(BTreeMap<SessionId, Booking>);

impl BookingCalendar {
    /// Adds a booking. One that crosses midnight is read for both days and kept once.
    pub fn insert(&mut self, booking: Booking) {
        self.0.insert(booking.session.clone(), booking);
    }

    pub fn remove(&mut self, session: &SessionId) {
        self.0.remove(session);
    }

    pub fn contains(&self, booking: &Booking) -> bool {
        self.0.get(&booking.session) == Some(booking)
    }

    /// Returns the bookings of other sessions that overlap with `wanted`, by start.
    pub fn overlapping(&self, wanted: &Booking) -> Vec<&Booking> {
        let mut others: Vec<_> = self.0.values().filter(|other| other.overlaps(wanted)).collect();
        others.sort_by_key(|other| (other.starts_at, &other.session));
        others
    }

    /// Returns a session that the host cannot host together with `wanted`: the first of those at the first moment that
    /// has too many.
    pub fn conflict(&self, wanted: &Booking, rule: OverlapRule) -> Option<&SessionId> {
        let OverlapRule::AtMost(capacity) = rule else { return None };
        let others = self.overlapping(wanted);
        // The number of sessions rises only when one of them starts.
        let moments = others.iter().map(|other| other.starts_at.max(wanted.starts_at));
        let first_full = moments.into_iter().find(|at| {
            let count = others.iter().filter(|other| other.covers(*at)).count();
            u32::try_from(count + 1).map_or(true, |count| count > capacity)
        })?;
        others.iter().find(|other| other.covers(first_full)).map(|other| &other.session)
    }

    /// Removes the bookings that no longer match their session, which an earlier version may leave when it moves or
    /// cancels a session.
    pub fn without_outdated<'a>(mut self, sessions: impl IntoIterator<Item = &'a Session>) -> Self {
        for session in sessions {
            if self.0.get(&session.id) != Booking::of_session(session).as_ref() {
                self.remove(&session.id);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::session::testing::session;

    fn id(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    fn booking(n: u8, from: i64, to: i64) -> Booking {
        Booking {
            host_user: "host".to_owned(),
            session: id(n),
            starts_at: at(from),
            ends_at: at(to),
        }
    }

    fn calendar(times: &[(i64, i64)]) -> BookingCalendar {
        let mut calendar = BookingCalendar::default();
        for (n, (from, to)) in (1..).zip(times) {
            calendar.insert(booking(n, *from, *to));
        }
        calendar
    }

    /// The times of other sessions, the capacity, and the expected conflict.
    type ConflictCase = (&'static [(i64, i64)], u32, Option<u8>);

    #[test]
    fn conflict_names_the_first_session_at_the_first_full_moment() {
        // The other sessions, the capacity, and the conflict with a session from minute 60 to 120.
        let cases: [ConflictCase; 14] = [
            (&[], 1, None),
            (&[(0, 60), (120, 180)], 1, None),
            (&[(0, 61)], 1, Some(1)),
            (&[(119, 180)], 1, Some(1)),
            (&[(60, 120)], 1, Some(1)),
            (&[(0, 180)], 1, Some(1)),
            (&[(90, 91)], 1, Some(1)),
            (&[(90, 180), (0, 70)], 1, Some(2)),
            (&[(0, 180)], 2, None),
            // One after the other, so that two take place at a time.
            (&[(60, 90), (90, 120)], 2, None),
            (&[(60, 91), (90, 120)], 2, Some(1)),
            (&[(0, 70), (80, 180), (90, 100)], 2, Some(2)),
            (&[(60, 120), (60, 120)], 3, None),
            (&[(60, 120), (60, 120), (60, 120)], 3, Some(1)),
        ];
        let wanted = booking(100, 60, 120);
        for (times, capacity, expected) in cases {
            let calendar = calendar(times);
            let rule = OverlapRule::AtMost(capacity);
            let found = calendar.conflict(&wanted, rule);
            assert_eq!(found, expected.map(id).as_ref(), "{times:?} {capacity}");
            assert_eq!(calendar.conflict(&wanted, OverlapRule::Unlimited), None);
        }
    }

    #[test]
    fn session_conflicts_neither_with_itself_nor_with_other_hosts() {
        let mut calendar = calendar(&[(60, 120)]);
        let rule = OverlapRule::AtMost(1);
        assert_eq!(calendar.conflict(&booking(1, 90, 150), rule), None, "its own time");
        let other_host = Booking { host_user: "other".to_owned(), ..booking(2, 60, 120) };
        assert_eq!(calendar.conflict(&other_host, rule), None);
        calendar.insert(other_host.clone());
        assert_eq!(calendar.conflict(&other_host, rule), None);
        assert_eq!(calendar.conflict(&booking(3, 60, 120), rule), Some(&id(1)));
    }

    #[test]
    fn days_are_those_in_which_the_session_takes_place() {
        const DAY: i64 = 24 * 60;
        for (from, to, expected) in [
            (0, 60, &["1970-01-01"][..]),
            (DAY - 60, DAY, &["1970-01-01"]),
            (DAY - 60, DAY + 1, &["1970-01-01", "1970-01-02"]),
            (DAY, DAY + 60, &["1970-01-02"]),
        ] {
            assert_eq!(booking(1, from, to).days(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn only_sessions_with_a_known_host_are_booked() {
        let mut hosted = session(at(60), Status::Scheduled);
        assert_eq!(Booking::of_session(&hosted), None, "an unknown host");
        hosted.meeting.host_user = Some("host".to_owned());
        let booked = Booking::of_session(&hosted);
        assert_eq!(booked, Some(booking(1, 60, 120)));
        for (change, expected) in [
            (Session { status: Status::Live, ..hosted.clone() }, booked.clone()),
            (Session { status: Status::Ended, ..hosted.clone() }, booked),
            (Session { status: Status::Cancelled, ..hosted.clone() }, None),
            (Session { provider: Provider::Manual, ..hosted.clone() }, None),
        ] {
            assert_eq!(Booking::of_session(&change), expected, "{:?}", change.status);
        }
    }

    #[test]
    fn bookings_that_do_not_match_their_session_are_outdated() {
        let mut moved = session(at(600), Status::Scheduled);
        moved.meeting.host_user = Some("host".to_owned());
        let cases = [
            (moved.clone(), false),
            (Session { status: Status::Cancelled, ..moved.clone() }, false),
            (Session { details: session(at(60), Status::Scheduled).details, ..moved }, true),
        ];
        for (session, is_kept) in cases {
            let calendar = calendar(&[(60, 120), (60, 120)]).without_outdated([&session]);
            assert_eq!(calendar.contains(&booking(1, 60, 120)), is_kept, "{:?}", session.status);
            assert!(calendar.contains(&booking(2, 60, 120)), "a session that was not read");
        }
    }

    /// A request about one of a few sessions: book or move it, or release it.
    #[derive(Clone, Debug)]
    enum Step {
        Book { session: u8, from: i64, minutes: i64 },
        Release { session: u8 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u8..8, 0i64..240, 15i64..180)
                .prop_map(|(session, from, minutes)| Step::Book { session, from, minutes }),
            1 => (0u8..8).prop_map(|session| Step::Release { session }),
        ]
    }

    proptest! {
        #[test]
        fn accepted_bookings_never_exceed_the_capacity_and_end_empty(
            steps in proptest::collection::vec(step(), 0..60),
            capacity in 1u32..4,
        ) {
            let mut calendar = BookingCalendar::default();
            for step in steps {
                match step {
                    Step::Book { session, from, minutes } => {
                        let wanted = booking(session, from, from + minutes);
                        let conflict = calendar.conflict(&wanted, OverlapRule::AtMost(capacity));
                        prop_assert_ne!(conflict, Some(&wanted.session));
                        if conflict.is_none() {
                            calendar.insert(wanted);
                        }
                    }
                    Step::Release { session } => calendar.remove(&id(session)),
                }
                for minute in 0..420 {
                    let running = calendar.0.values().filter(|one| one.covers(at(minute))).count();
                    prop_assert!(running <= capacity as usize, "{} at {}", running, minute);
                }
            }
            for session in 0..8 {
                calendar.remove(&id(session));
            }
            prop_assert_eq!(calendar, BookingCalendar::default());
        }
    }
}
