//! The audience of a request: people are named by address or, if the directory has them, by user id.

use std::collections::{BTreeMap, BTreeSet};

use super::{InviteeBody, missing, parsed, required};
use crate::domain::audience::{AudienceDraft, AudienceKind, INVITEE_LIMIT, Invitee};
use crate::domain::id::{CourseId, UserId};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::text::{Email, PersonName};

/// The directory's address and name of an invited user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// `None` for a user without an address, who cannot be invited by it.
    pub email: Option<Email>,
    pub name: PersonName,
}

/// An audience with users that are not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenAudience {
    Standalone,
    Course(CourseId),
    Invitees(Vec<OpenInvitee>),
}

/// An entry of the request's list, at the same position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenInvitee {
    person: InvitedPerson,
    name: Option<PersonName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum InvitedPerson {
    Address(Email),
    User(UserId),
}

impl OpenAudience {
    pub(super) fn parse(
        errors: &mut Vec<FieldError>,
        kind: Option<AudienceKind>,
        course_id: Option<String>,
        invitees: Option<Vec<InviteeBody>>,
    ) -> Option<Self> {
        let Some(kind) = kind else { return missing(errors, "audience_type") };
        if course_id.is_some() && kind != AudienceKind::Course {
            errors.push(FieldError::new("course_id", "is only allowed with audience_type course"));
        }
        if invitees.is_some() && kind != AudienceKind::Invitees {
            errors.push(FieldError::new("invitees", "is only allowed with audience_type invitees"));
        }
        match kind {
            AudienceKind::Standalone => Some(Self::Standalone),
            AudienceKind::Course => {
                required(errors, "course_id", course_id, |id| CourseId::parse(&id))
                    .map(Self::Course)
            }
            AudienceKind::Invitees => match invitees {
                None => missing(errors, "invitees"),
                Some(bodies) => parse_invitees(errors, bodies).map(Self::Invitees),
            },
        }
    }

    /// Returns the users that are invited by their id.
    pub(super) fn users(&self) -> BTreeSet<&UserId> {
        let Self::Invitees(invitees) = self else { return BTreeSet::new() };
        invitees
            .iter()
            .filter_map(|invitee| match &invitee.person {
                InvitedPerson::User(user) => Some(user),
                InvitedPerson::Address(_) => None,
            })
            .collect()
    }

    /// Replaces the users by their addresses in the directory.
    pub(super) fn resolve(
        &self,
        directory: &BTreeMap<UserId, DirectoryEntry>,
    ) -> Result<AudienceDraft, Refusal> {
        match self {
            Self::Standalone => Ok(AudienceDraft::Standalone),
            Self::Course(course) => Ok(AudienceDraft::Course(course.clone())),
            Self::Invitees(invitees) => {
                resolve_invitees(invitees, directory).map(AudienceDraft::Invitees)
            }
        }
    }
}

fn parse_invitees(
    errors: &mut Vec<FieldError>,
    bodies: Vec<InviteeBody>,
) -> Option<Vec<OpenInvitee>> {
    if bodies.is_empty() || bodies.len() > INVITEE_LIMIT {
        errors.push(FieldError::new("invitees", format!("must have 1 to {INVITEE_LIMIT} entries")));
        return None;
    }
    let entries = bodies.into_iter().enumerate();
    // An entry with an error is left out, and so the draft is refused.
    Some(entries.filter_map(|(index, body)| parse_invitee(errors, index, body)).collect())
}

fn parse_invitee(
    errors: &mut Vec<FieldError>,
    index: usize,
    body: InviteeBody,
) -> Option<OpenInvitee> {
    let field = |name: &str| format!("invitees[{index}].{name}");
    let name = match body.name.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(name) => parsed(errors, &field("name"), PersonName::parse(name)),
    };
    let person = match (body.email, body.user_id) {
        (Some(email), None) => {
            parsed(errors, &field("email"), Email::parse(&email)).map(InvitedPerson::Address)
        }
        (None, Some(user)) => {
            parsed(errors, &field("user_id"), UserId::parse(&user)).map(InvitedPerson::User)
        }
        (Some(_), Some(_)) => {
            errors.push(FieldError::new(field("user_id"), "must not be given with an email"));
            None
        }
        (None, None) => {
            errors.push(FieldError::new(field("email"), "is required without a user_id"));
            None
        }
    };
    Some(OpenInvitee { person: person?, name })
}

/// Returns one invitee for each address. An entry's own name counts before the directory's, and the first before later ones.
/// They are sorted as they are stored, so the first response and a repeated one are equal.
fn resolve_invitees(
    invitees: &[OpenInvitee],
    directory: &BTreeMap<UserId, DirectoryEntry>,
) -> Result<Vec<Invitee>, Refusal> {
    let mut errors = Vec::new();
    let mut names: BTreeMap<&Email, (Option<&PersonName>, Option<&PersonName>)> = BTreeMap::new();
    for (index, OpenInvitee { person, name }) in invitees.iter().enumerate() {
        let (email, known_name) = match person {
            InvitedPerson::Address(email) => (email, None),
            InvitedPerson::User(user) => match directory.get(user) {
                Some(DirectoryEntry { email: Some(email), name }) => (email, Some(name)),
                without_address => {
                    let message = match without_address {
                        Some(_) => "has no e-mail address in the directory",
                        None => "is not a user of the directory",
                    };
                    errors.push(FieldError::new(format!("invitees[{index}].user_id"), message));
                    continue;
                }
            },
        };
        let (given, known) = names.entry(email).or_default();
        *given = given.or(name.as_ref());
        *known = known.or(known_name);
    }
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    let invitee =
        |(email, (given, known)): (&Email, (Option<&PersonName>, Option<&PersonName>))| Invitee {
            email: email.clone(),
            name: given.or(known).cloned(),
        };
    Ok(names.into_iter().map(invitee).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn resolve(invitees: Value) -> Result<Vec<(String, Option<String>)>, Vec<String>> {
        let bodies: Vec<InviteeBody> = serde_json::from_value(invitees).unwrap();
        let mut errors = Vec::new();
        let open =
            OpenAudience::parse(&mut errors, Some(AudienceKind::Invitees), None, Some(bodies));
        let user = |id: &str, email: &str, name: &str| {
            let entry = DirectoryEntry {
                email: Email::parse(email).ok(),
                name: PersonName::parse(name).unwrap(),
            };
            (UserId::parse(id).unwrap(), entry)
        };
        let directory =
            [user("u-1", "ada@example.test", "Ada"), user("u-2", "bob@example.test", "Bob")];
        let named = |errors: Vec<FieldError>| errors.into_iter().map(|error| error.field).collect();
        if !errors.is_empty() {
            return Err(named(errors));
        }
        match open.unwrap().resolve(&directory.into()) {
            Ok(AudienceDraft::Invitees(invitees)) => Ok(invitees
                .into_iter()
                .map(|it| (it.email.as_str().to_owned(), it.name.map(String::from)))
                .collect()),
            Err(Refusal::Invalid(errors)) => Err(named(errors)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn person_is_invited_once_by_id_and_address() {
        let ada = |name: Option<&str>| ("ada@example.test".to_owned(), name.map(str::to_owned));
        for (invitees, expected) in [
            (json!([{"user_id": "u-1"}]), vec![ada(Some("Ada"))]),
            (json!([{"user_id": "u-1"}, {"email": "Ada@Example.test"}]), vec![ada(Some("Ada"))]),
            (json!([{"email": "ada@example.test"}, {"user_id": "u-1"}]), vec![ada(Some("Ada"))]),
            (
                json!([{"user_id": "u-1"}, {"email": "ada@example.test", "name": "Dr. Ada"}]),
                vec![ada(Some("Dr. Ada"))],
            ),
            (json!([{"user_id": "u-1", "name": "A."}, {"user_id": "u-1"}]), vec![ada(Some("A."))]),
            (
                json!([{"email": "Ada@example.test", "name": "A."}, {"email": "ada@example.test", "name": "B."}]),
                vec![ada(Some("A."))],
            ),
            (
                json!([{"user_id": "u-2"}, {"email": "ada@example.test", "name": " "}]),
                vec![ada(None), ("bob@example.test".to_owned(), Some("Bob".to_owned()))],
            ),
        ] {
            assert_eq!(resolve(invitees.clone()), Ok(expected), "{invitees}");
        }
    }

    #[test]
    fn unknown_user_is_reported_with_its_position() {
        for (invitees, fields) in [
            (
                json!([{"user_id": "u-1"}, {"user_id": "u-9"}, {"email": "a@b.cd"}, {"user_id": "u-8"}]),
                vec!["invitees[1].user_id", "invitees[3].user_id"],
            ),
            (json!([{"user_id": "a#b"}]), vec!["invitees[0].user_id"]),
            (json!([{"user_id": "u-1", "email": "a@b.cd"}]), vec!["invitees[0].user_id"]),
            (json!([{"name": "Ada"}]), vec!["invitees[0].email"]),
        ] {
            let fields: Vec<_> = fields.into_iter().map(str::to_owned).collect();
            assert_eq!(resolve(invitees.clone()), Err(fields), "{invitees}");
        }
    }
}
