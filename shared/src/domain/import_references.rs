//! The references of an import to records that do not exist.
//!
//! The order of the lines does not matter: an import may have an enrollment before its course, and a user before the
//! settings with their plan. A reference is unknown if neither the import nor the directory has its record at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::directory::DirectoryCommand;
use super::id::{CourseId, UserId};
use super::plan::PlatformSettings;

/// Lines that a warning lists. They show the pattern, and the count shows the size.
pub const LISTED_LINES: usize = 10;

/// A record to which a line refers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referenced {
    Course(CourseId),
    User(UserId),
    Plan(String),
}

impl Referenced {
    fn warning_code(&self) -> &'static str {
        match self {
            Self::Course(_) => "unknown_course",
            Self::User(_) => "unknown_user",
            Self::Plan(_) => "unknown_plan",
        }
    }
}

/// The `type` of a line that refers to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    Course,
    Enrollment,
    User,
}

/// The accepted lines of one kind that refer to records of one kind that do not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportWarning {
    pub code: &'static str,
    pub kind: LineKind,
    pub count: usize,
    /// The first of these lines.
    pub lines: Vec<usize>,
}

/// The references of the lines that were applied, and the records that they stored or removed.
#[derive(Clone, Debug, Default)]
pub struct ImportReferences {
    references: Vec<(usize, LineKind, Referenced)>,
    /// Whether the last line about a record has stored it.
    is_stored: BTreeMap<Referenced, bool>,
    settings: Option<PlatformSettings>,
}

impl ImportReferences {
    pub fn add(&mut self, line: usize, command: &DirectoryCommand) {
        let mut refer = |kind, to| self.references.push((line, kind, to));
        match command {
            DirectoryCommand::SaveCourse(course) => {
                refer(LineKind::Course, Referenced::User(course.trainer.clone()));
                self.is_stored.insert(Referenced::Course(course.id.clone()), true);
            }
            DirectoryCommand::SaveEnrollment(enrollment) => {
                refer(LineKind::Enrollment, Referenced::Course(enrollment.course.clone()));
                refer(LineKind::Enrollment, Referenced::User(enrollment.user.clone()));
            }
            DirectoryCommand::SaveUser { user, .. } => {
                if let Some(plan) = &user.plan {
                    refer(LineKind::User, Referenced::Plan(plan.clone()));
                }
                self.is_stored.insert(Referenced::User(user.id.clone()), true);
            }
            DirectoryCommand::DeleteCourse(id) => {
                self.is_stored.insert(Referenced::Course(id.clone()), false);
            }
            DirectoryCommand::EraseUser(id) => {
                self.is_stored.insert(Referenced::User(id.clone()), false);
            }
            DirectoryCommand::SaveSettings(settings) => self.settings = Some(settings.clone()),
            DirectoryCommand::DeleteEnrollment { .. } => {}
        }
    }

    /// Adds the references of later lines.
    pub fn append(&mut self, later: Self) {
        self.references.extend(later.references);
        self.is_stored.extend(later.is_stored);
        self.settings = later.settings.or(self.settings.take());
    }

    /// Returns the courses and users that only the directory can know.
    pub fn unresolved(&self) -> BTreeSet<&Referenced> {
        let all = self.references.iter().map(|(_, _, to)| to);
        all.filter(|to| !matches!(to, Referenced::Plan(_)) && !self.is_stored.contains_key(*to))
            .collect()
    }

    /// Returns whether the plans of the directory's settings decide about a reference.
    pub fn needs_settings(&self) -> bool {
        let names_plan = |to: &Referenced| matches!(to, Referenced::Plan(_));
        self.settings.is_none() && self.references.iter().any(|(_, _, to)| names_plan(to))
    }

    /// Returns the warnings. `missing` are the courses and users that the directory does not have, and `settings` are the
    /// directory's, which those of the import replace.
    pub fn warnings(
        &self,
        missing: &BTreeSet<&Referenced>,
        settings: &PlatformSettings,
    ) -> Vec<ImportWarning> {
        let settings = self.settings.as_ref().unwrap_or(settings);
        let is_unknown = |to: &Referenced| match to {
            Referenced::Plan(plan) => !settings.has_plan(plan),
            _ => self.is_stored.get(to).map_or_else(|| missing.contains(to), |stored| !stored),
        };
        let mut warnings: BTreeMap<(LineKind, &str), ImportWarning> = BTreeMap::new();
        for (line, kind, to) in self.references.iter().filter(|(_, _, to)| is_unknown(to)) {
            let code = to.warning_code();
            let warning = warnings.entry((*kind, code)).or_insert_with(|| ImportWarning {
                code,
                kind: *kind,
                count: 0,
                lines: Vec::new(),
            });
            warning.count += 1;
            if warning.lines.len() < LISTED_LINES {
                warning.lines.push(*line);
            }
        }
        warnings.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::directory::{Course, Enrollment, User};
    use crate::domain::plan::PlanLimits;
    use crate::domain::text::{PersonName, Title};

    fn course(id: &str, trainer: &str) -> DirectoryCommand {
        DirectoryCommand::SaveCourse(Course {
            id: CourseId::parse(id).unwrap(),
            title: Title::parse("Algebra").unwrap(),
            trainer: UserId::parse(trainer).unwrap(),
        })
    }

    fn user(id: &str, plan: Option<&str>) -> DirectoryCommand {
        let user = User {
            id: UserId::parse(id).unwrap(),
            email: None,
            name: PersonName::parse("Ada").unwrap(),
            role: "student".to_owned(),
            plan: plan.map(str::to_owned),
            locale: None,
            hosting: None,
            defaults: Default::default(),
            former_emails: Vec::new(),
        };
        DirectoryCommand::SaveUser { user, default_link: None }
    }

    fn enrollment(course: &str, user: &str) -> DirectoryCommand {
        DirectoryCommand::SaveEnrollment(Enrollment {
            course: CourseId::parse(course).unwrap(),
            user: UserId::parse(user).unwrap(),
            email: None,
            name: PersonName::parse("Ada").unwrap(),
            access_granted: true,
            former_emails: Vec::new(),
            paid_by: BTreeSet::new(),
        })
    }

    fn settings(plans: &[&str]) -> PlatformSettings {
        let plans = plans.iter().map(|plan| ((*plan).to_owned(), PlanLimits::default()));
        PlatformSettings { plans: plans.collect(), ..PlatformSettings::default() }
    }

    /// Returns code, kind, count and lines of the warnings about an import into a directory with the course `c-old`, the
    /// user `u-old` and the plan `old`.
    fn warnings(lines: &[DirectoryCommand]) -> Vec<(&'static str, LineKind, usize, Vec<usize>)> {
        let mut references = ImportReferences::default();
        for (index, command) in lines.iter().enumerate() {
            let mut batch = ImportReferences::default();
            batch.add(index + 1, command);
            references.append(batch);
        }
        let is_old = |to: &Referenced| match to {
            Referenced::Course(id) => id.as_str() == "c-old",
            Referenced::User(id) => id.as_str() == "u-old",
            Referenced::Plan(_) => false,
        };
        let missing = references.unresolved().into_iter().filter(|to| !is_old(to)).collect();
        let found = references.warnings(&missing, &settings(&["old"]));
        found.into_iter().map(|it| (it.code, it.kind, it.count, it.lines)).collect()
    }

    #[test]
    fn unknown_references_are_counted_per_kind_of_line() {
        let lines = [
            course("c-1", "u-old"),
            course("c-2", "nobody"),
            enrollment("c-1", "u-old"),
            enrollment("c-none", "u-none"),
            enrollment("c-old", "u-none"),
            user("u-1", Some("old")),
            user("u-2", Some("gold")),
            user("u-3", None),
        ];
        let expected = vec![
            ("unknown_user", LineKind::Course, 1, vec![2]),
            ("unknown_course", LineKind::Enrollment, 1, vec![4]),
            ("unknown_user", LineKind::Enrollment, 2, vec![4, 5]),
            ("unknown_plan", LineKind::User, 1, vec![7]),
        ];
        assert_eq!(warnings(&lines), expected);
    }

    #[test]
    fn settings_without_plans_accept_every_plan() {
        let none = DirectoryCommand::SaveSettings(settings(&[]));
        assert_eq!(warnings(&[user("u-1", Some("gold")), none]), []);
    }

    #[test]
    fn removed_record_is_unknown() {
        let lines = [
            course("c-1", "u-old"),
            enrollment("c-1", "u-old"),
            DirectoryCommand::DeleteCourse(CourseId::parse("c-1").unwrap()),
        ];
        assert_eq!(warnings(&lines), [("unknown_course", LineKind::Enrollment, 1, vec![2])]);
    }

    #[test]
    fn warning_lists_its_first_lines() {
        let lines: Vec<_> = (0..25).map(|_| user("u-1", Some("gold"))).collect();
        let listed = (1..=LISTED_LINES).collect();
        assert_eq!(warnings(&lines), [("unknown_plan", LineKind::User, 25, listed)]);
    }

    proptest! {
        #[test]
        fn order_of_the_lines_does_not_change_the_counts(
            lines in Just(vec![
                DirectoryCommand::SaveSettings(settings(&["pro"])),
                user("u-1", Some("pro")), user("u-2", Some("gold")), course("c-1", "u-1"),
                course("c-2", "nobody"), enrollment("c-1", "u-2"), enrollment("c-none", "u-1"),
            ]).prop_shuffle()
        ) {
            let counts: Vec<_> =
                warnings(&lines).into_iter().map(|(code, kind, count, _)| (code, kind, count)).collect();
            prop_assert_eq!(counts, vec![
                ("unknown_user", LineKind::Course, 1),
                ("unknown_course", LineKind::Enrollment, 1),
                ("unknown_plan", LineKind::User, 1),
            ]);
        }
    }
}
