//! Registration of people for a meeting, which gives each a personal link.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;
use super::users::first_and_last_name;
use crate::domain::id::MeetingId;
use crate::domain::text::{Email, PersonName};
use crate::secret::Secret;

/// A person to register. Zoom shows the name in the meeting.
#[derive(Clone, Copy, Debug)]
pub struct NewRegistrant<'a> {
    pub email: &'a Email,
    pub name: &'a PersonName,
}

/// A registered person of a meeting.
#[derive(Clone, Debug)]
pub struct Registrant {
    pub id: String,
    /// Empty if the host still has to approve the person.
    pub link: Secret,
}

#[derive(Deserialize)]
struct RegistrantResponse {
    registrant_id: String,
    #[serde(default)]
    join_url: String,
}

fn registrant_body(new: NewRegistrant<'_>) -> Value {
    let (first, last) = first_and_last_name(new.name);
    let mut body = Map::new();
    body.insert("email".to_owned(), new.email.as_str().into());
    body.insert("first_name".to_owned(), first.into());
    if !last.is_empty() {
        body.insert("last_name".to_owned(), last.into());
    }
    Value::Object(body)
}

impl Zoom {
    /// Registers a person for a meeting, without a retry. A person who is registered already has the same link again, but
    /// Zoom accepts only a few requests a day for one person.
    pub async fn register(
        &self,
        access: &Access,
        meeting: MeetingId,
        new: NewRegistrant<'_>,
        now: Timestamp,
    ) -> Result<Registrant, ZoomError> {
        let path = format!("/meetings/{meeting}/registrants");
        let body = registrant_body(new);
        let call = ApiCall::new(Method::POST, &path).body(&body);
        let response: RegistrantResponse = self.send_once(access, call, now).await?.json()?;
        Ok(Registrant { id: response.registrant_id, link: Secret::new(response.join_url) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn registrant_has_a_first_name_and_a_last_name_if_there_is_one() {
        let email = Email::parse("ada@school.test").unwrap();
        for (name, expected) in [
            ("Ada", json!({"email": "ada@school.test", "first_name": "Ada"})),
            (
                "Ada King Noel",
                json!({"email": "ada@school.test", "first_name": "Ada", "last_name": "King Noel"}),
            ),
        ] {
            let name = PersonName::parse(name).unwrap();
            assert_eq!(registrant_body(NewRegistrant { email: &email, name: &name }), expected);
        }
    }
}
