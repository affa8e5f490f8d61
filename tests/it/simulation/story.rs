//! A story: how a class is held and changed at Zoom, drawn from a seed.
//!
//! A step that is impossible when its time comes, such as leaving an empty meeting, is skipped. So a story stays valid if
//! any of its steps are left out.

use std::fmt;

use local::faults::FaultKind;
use shared::random::Random;

/// Seconds per minute, hour and day.
pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The students of `course-1`, by number. Guests have the numbers after them.
const STUDENTS: u64 = 5;
const GUESTS: u64 = 2;
/// The device number of a student's telephone.
const TELEPHONE: u64 = 9;
const ROOMS: [&str; 2] = ["Room A", "Room B"];

/// The host of the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hosting {
    Platform,
    /// The platform hosts, and people join with Zoom's client by personal links.
    PlatformByLink,
    /// The trainer's Zoom user in the app's own account, in which people join with a key.
    TrainerOfAppAccount,
    /// The trainer's own account, in which people join by link and without a key.
    TrainerOfOtherAccount,
}

impl Hosting {
    pub(super) fn is_by_platform(self) -> bool {
        matches!(self, Self::Platform | Self::PlatformByLink)
    }
}

/// The treatment of the events of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    AtOnce,
    Dropped,
    Doubled,
    DelayedMinutes(u64),
    Reordered,
}

/// A client of a person. A person may join with two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client {
    pub(super) person: u64,
    pub(super) device: u64,
}

impl Client {
    pub(super) const HOST: Self = Self { person: 0, device: 1 };

    pub(super) fn telephone_of(person: u64) -> Self {
        Self { person, device: TELEPHONE }
    }

    pub(super) fn is_guest(self) -> bool {
        self.person > STUDENTS
    }
}

/// The identity of a person at Zoom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The key of the join credentials, or the personal link. In a trainer's account, people join by a link without either.
    Key,
    Email,
    /// Only a name that somebody typed.
    Name,
    /// The Zoom user who hosts the meeting.
    Host,
    /// Only a telephone number.
    Telephone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    End,
    Enter(Client, Identity),
    Leave(Client),
    /// The client loses its connection.
    Kill(Client),
    /// To a breakout room, or back to the main room.
    Move(Client, Option<&'static str>),
    /// Enters the waiting room of the meeting.
    Wait(Client, Identity),
    Admit(Client),
    PutInWaitingRoom(Client),
    /// The student enters the identity number of the client on the telephone, so that Zoom knows whose it is.
    BindTelephone(u64),
    /// An action on the recording of the latest meeting instance.
    Recording(&'static str),
    /// The trainer renames the meeting on Zoom's pages.
    Rename,
    /// The trainer moves the meeting on Zoom's pages, by this number of hours.
    MoveMeeting(i64),
    DeleteMeeting,
    /// The platform cancels the class.
    Cancel,
    /// The trainer removes the app at Zoom.
    RevokeGrant,
    /// The trainer connects Zoom again.
    Reconnect,
    /// Zoom answers the next runs of the sweep with a limit or an error.
    Trouble(FaultKind, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Seconds after the planned start.
    pub(super) at: i64,
    pub(super) action: Action,
    pub(super) delivery: Delivery,
}

/// How Zoom lists participants, where it varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) page_size: Option<u64>,
    pub(super) lag_seconds: u64,
    pub(super) has_row_per_connection: bool,
    pub(super) has_leaves_at_end: bool,
    /// The pages whose token has expired when they are requested.
    pub(super) expired_pages: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) seed: u64,
    pub(super) hosting: Hosting,
    pub(super) lists: Lists,
    /// The seconds after the planned start between which no sweep runs.
    pub(super) outage: Option<(i64, i64)>,
    /// Events after the last step that are not part of one, such as those of a lost connection.
    pub(super) steps: Vec<Step>,
}

impl Story {
    pub(super) fn draw(seed: u64) -> Self {
        let mut draw = Draw(Random::seeded(seed));
        let hosting = draw.pick(&[
            Hosting::Platform,
            Hosting::Platform,
            Hosting::PlatformByLink,
            Hosting::TrainerOfAppAccount,
            Hosting::TrainerOfOtherAccount,
        ]);
        let lists = Lists {
            page_size: draw.pick(&[None, None, Some(1), Some(3)]),
            lag_seconds: draw.pick(&[0, 0, 5400]),
            has_row_per_connection: draw.chance(25),
            has_leaves_at_end: draw.chance(75),
            expired_pages: draw.pick(&[0, 0, 1, 2]),
        };
        let outage = draw.chance(20).then(|| {
            let from = draw.between(-2 * HOUR, 26 * HOUR);
            (from, from + draw.between(HOUR, 20 * HOUR))
        });
        let mut plan = Plan { draw, hosting, steps: Vec::new() };
        plan.add_rehearsals();
        plan.add_class();
        plan.add_changes_at_zoom();
        plan.add_trouble();
        let steps = plan.with_deliveries();
        Self { seed, hosting, lists, outage, steps }
    }

    pub(super) fn with_steps(&self, steps: Vec<Step>) -> Self {
        Self { steps, ..self.clone() }
    }
}

/// Draws from the stream of a story.
struct Draw(Random);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Draws a number of this range, the end included.
    fn between(&mut self, from: i64, to: i64) -> i64 {
        let bound = u64::try_from(to - from + 1).unwrap_or(1);
        from + i64::try_from(self.below(bound)).unwrap_or(0)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).unwrap_or(0)]
    }
}

/// A story that is being drawn.
struct Plan {
    draw: Draw,
    hosting: Hosting,
    steps: Vec<(i64, Action)>,
}

impl Plan {
    fn add(&mut self, at: i64, action: Action) {
        self.steps.push((at, action));
    }

    /// Adds uses of the meeting that do not belong to the class: the day before, and test starts.
    fn add_rehearsals(&mut self) {
        if self.draw.chance(20) {
            let from = self.draw.between(-22 * HOUR, -2 * HOUR);
            self.add_instance(from, from + 10 * MINUTE, 3);
        }
        if self.draw.chance(25) {
            let from = self.draw.between(-25 * MINUTE, -8 * MINUTE);
            let to = self.draw.between(-7 * MINUTE, 0);
            self.add_instance(from, to, 3);
        }
    }

    /// Adds the meeting instances of the class. Some classes are not held, and some meetings are not ended in time.
    fn add_class(&mut self) {
        if self.draw.chance(6) {
            return;
        }
        let mut from = self.draw.between(-6 * MINUTE, 15 * MINUTE);
        for n in 1..=self.draw.pick(&[1, 1, 1, 2, 3]) {
            let mut to = from + self.draw.between(5 * MINUTE, 75 * MINUTE);
            if n == 1 && self.draw.chance(10) {
                to = self.draw.between(100 * MINUTE, 7 * HOUR);
            }
            let steps = self.draw.between(3, 24);
            self.add_instance(from, to, steps);
            from = to + self.draw.between(30, 12 * MINUTE);
        }
        if self.draw.chance(10) {
            let from = self.draw.between(151 * MINUTE, 9 * HOUR);
            self.add_instance(from, from + 20 * MINUTE, 3);
        }
    }

    fn add_instance(&mut self, from: i64, to: i64, steps: i64) {
        self.add(from, Action::Start);
        for _ in 0..steps {
            let at = self.draw.between(from, to - 1);
            let action = self.participant_action();
            self.add(at, action);
        }
        self.add(to, Action::End);
        if self.draw.chance(60) {
            let ready = to + self.draw.between(2 * MINUTE, 40 * MINUTE);
            self.add(ready, Action::Recording("complete"));
        }
    }

    fn client(&mut self) -> Client {
        let person = 1 + self.draw.below(STUDENTS + GUESTS);
        // Where only Zoom's events have keys, the times of a person's clients could not be told apart without them.
        let has_second = self.hosting.is_by_platform() && person <= STUDENTS;
        let device = if has_second && self.draw.chance(20) { 2 } else { 1 };
        Client { person, device }
    }

    fn identity(&mut self, client: Client) -> Identity {
        if client.is_guest() {
            return Identity::Name;
        }
        self.draw.pick(&[Identity::Key, Identity::Key, Identity::Key, Identity::Email])
    }

    fn participant_action(&mut self) -> Action {
        let client = self.client();
        let student = 1 + self.draw.below(STUDENTS);
        let telephone = Client::telephone_of(student);
        match self.draw.below(100) {
            0..40 => Action::Enter(client, self.identity(client)),
            40..55 => Action::Leave(client),
            55..61 => Action::Kill(client),
            61..73 => Action::Move(client, self.draw.pick(&[None, Some(ROOMS[0]), Some(ROOMS[1])])),
            73..77 => Action::Wait(client, self.identity(client)),
            77..82 => Action::Admit(client),
            82..86 => Action::PutInWaitingRoom(client),
            86..90 => Action::Enter(telephone, Identity::Telephone),
            90..93 => Action::BindTelephone(student),
            93..95 => Action::Leave(telephone),
            95..97 => Action::Enter(Client::HOST, Identity::Host),
            97..99 => Action::Leave(Client::HOST),
            _ => Action::Kill(Client::HOST),
        }
    }

    /// Adds changes of the meeting and its recordings at Zoom.
    fn add_changes_at_zoom(&mut self) {
        const RECORDING: [&str; 8] = [
            "transcript",
            "trash",
            "recover",
            "delete",
            "batch_trash",
            "batch_recover",
            "batch_delete",
            "complete",
        ];
        for _ in 0..self.draw.below(5) {
            let at = self.draw.between(80 * MINUTE, 5 * DAY);
            let action = self.draw.pick(&RECORDING);
            self.add(at, Action::Recording(action));
        }
        if self.draw.chance(25) {
            let at = self.draw.between(-20 * HOUR, 2 * HOUR);
            self.add(at, Action::Rename);
        }
        if self.draw.chance(10) {
            let at = self.draw.between(-20 * HOUR, 2 * HOUR);
            let hours = self.draw.between(1, 48);
            self.add(at, Action::MoveMeeting(hours));
        }
        if self.draw.chance(15) {
            let at = self.draw.between(-HOUR, 30 * HOUR);
            self.add(at, Action::DeleteMeeting);
        }
        if self.draw.chance(8) {
            let at = self.draw.between(-20 * HOUR, 2 * HOUR);
            self.add(at, Action::Cancel);
        }
    }

    /// Adds failures of the comparison with Zoom: a grant that ends for some hours, limits and errors.
    fn add_trouble(&mut self) {
        if !self.hosting.is_by_platform() && self.draw.chance(20) {
            let at = self.draw.between(-2 * HOUR, 10 * HOUR);
            let until = at + self.draw.between(10 * MINUTE, 8 * HOUR);
            self.add(at, Action::RevokeGrant);
            self.add(until, Action::Reconnect);
        }
        if self.draw.chance(35) {
            for _ in 0..self.draw.between(1, 3) {
                let at = self.draw.between(80 * MINUTE, 5 * HOUR);
                let kind = self.draw.pick(&[
                    FaultKind::Throttle,
                    FaultKind::ThrottleSeconds,
                    FaultKind::ThrottleIso,
                    FaultKind::Error,
                    FaultKind::Html,
                    FaultKind::Half,
                ]);
                let runs = self.draw.pick(&[1, 1, 2, 3]);
                self.add(at, Action::Trouble(kind, runs));
            }
        }
    }

    /// Orders the steps by time, and draws the treatment of the events of each.
    fn with_deliveries(mut self) -> Vec<Step> {
        let mut steps = std::mem::take(&mut self.steps);
        steps.sort_by_key(|(at, _)| *at);
        let lost_percent = self.draw.pick(&[0, 15, 50, 100]);
        let mut deliver = || {
            if self.draw.chance(lost_percent) {
                return Delivery::Dropped;
            }
            let minutes = 1 + self.draw.below(85);
            let others = [
                Delivery::AtOnce,
                Delivery::AtOnce,
                Delivery::Doubled,
                Delivery::DelayedMinutes(minutes),
                Delivery::Reordered,
            ];
            self.draw.pick(&others)
        };
        steps.into_iter().map(|(at, action)| Step { at, action, delivery: deliver() }).collect()
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person, device } = self;
        match (*person, *device) {
            _ if *self == Self::HOST => write!(f, "the host"),
            _ if self.is_guest() => write!(f, "guest {person}"),
            (_, TELEPHONE) => write!(f, "the telephone of student {person}"),
            _ => write!(f, "student {person} (device {device})"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "the meeting starts"),
            Self::End => write!(f, "the meeting ends"),
            Self::Enter(client, identity) => write!(f, "{client} joins, {identity:?} known"),
            Self::Leave(client) => write!(f, "{client} leaves"),
            Self::Kill(client) => write!(f, "{client} loses the connection"),
            Self::Move(client, room) => {
                write!(f, "{client} moves to {}", room.unwrap_or("the main room"))
            }
            Self::Wait(client, identity) => write!(f, "{client} waits, {identity:?} known"),
            Self::Admit(client) => write!(f, "{client} is admitted"),
            Self::PutInWaitingRoom(client) => write!(f, "{client} is put in the waiting room"),
            Self::BindTelephone(student) => {
                write!(f, "student {student} binds the telephone")
            }
            Self::Recording(action) => write!(f, "recording: {action}"),
            Self::Rename => write!(f, "the trainer renames the meeting at Zoom"),
            Self::MoveMeeting(hours) => {
                write!(f, "the trainer moves the meeting by {hours} hours at Zoom")
            }
            Self::DeleteMeeting => write!(f, "the trainer deletes the meeting at Zoom"),
            Self::Cancel => write!(f, "the platform cancels the class"),
            Self::RevokeGrant => write!(f, "the trainer removes the app at Zoom"),
            Self::Reconnect => write!(f, "the trainer connects Zoom again"),
            Self::Trouble(kind, runs) => {
                write!(f, "the next runs of the sweep get errors: {kind:?}, {runs} runs")
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at < 0 { '-' } else { '+' };
        let (at, action) = (self.at.abs(), &self.action);
        let (hours, minutes, seconds) = (at / HOUR, at % HOUR / MINUTE, at % MINUTE);
        write!(f, "{sign}{hours:02}:{minutes:02}:{seconds:02} {action}")?;
        match self.delivery {
            Delivery::AtOnce => Ok(()),
            delivery => write!(f, " [events {delivery:?}]"),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, hosting, lists, outage, steps } = self;
        writeln!(f, "Story {seed}, hosting {hosting:?}, {lists:?}")?;
        if let Some((from, to)) = outage {
            writeln!(f, "No sweep runs from minute {} to {}.", from / MINUTE, to / MINUTE)?;
        }
        writeln!(f, "A class of an hour. Times are hours after the planned start.")?;
        for (n, step) in steps.iter().enumerate() {
            writeln!(f, "{:3}. {step}", n + 1)?;
        }
        Ok(())
    }
}
