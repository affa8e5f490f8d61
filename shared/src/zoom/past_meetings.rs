//! Past meetings: their instances, and Zoom's lists of participants.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;
use crate::domain::id::MeetingId;
use crate::domain::zoom_event::cut_id;
use crate::domain::zoom_report::ListedRow;

/// Zoom: the largest page of a list.
const PAGE_SIZE: &str = "300";
/// Zoom: 400 with this code for a field, such as a page token that has expired after 15 minutes.
const INVALID_FIELD: i64 = 300;

/// An ended instance in Zoom's list of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastInstance {
    pub uuid: String,
    pub started_at: Timestamp,
}

/// The times of an ended instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct PastInstanceTimes {
    #[serde(rename = "start_time")]
    pub started_at: Timestamp,
    #[serde(rename = "end_time")]
    pub ended_at: Timestamp,
}

/// The list of participants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantList {
    /// The list that a trainer's own grant can read.
    PastMeeting,
    /// The report of the account, whose rows have the `customer_key`.
    AccountReport,
}

/// A page of a list of participants.
#[derive(Clone, Debug, Default)]
pub struct ParticipantPage {
    pub rows: Vec<ListedRow>,
    /// Empty on the last page.
    pub next_page_token: String,
}

/// The response to a request for a page of participants.
#[derive(Clone, Debug)]
pub enum PageOutcome {
    Page(ParticipantPage),
    /// The page token has expired, and the list is read from its start.
    TokenExpired,
}

/// Percent-encodes the uuid of an instance for a path. Zoom splits a path at a slash that is encoded once.
pub(super) fn encoded_uuid(uuid: &str) -> String {
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let once = encode(uuid);
    if uuid.contains('/') { encode(&once) } else { once }
}

impl Zoom {
    /// Returns the ended instances of a meeting.
    pub async fn past_instances(
        &self,
        access: &Access,
        meeting: MeetingId,
        now: Timestamp,
    ) -> Result<Vec<PastInstance>, ZoomError> {
        #[derive(Deserialize)]
        struct Instances {
            #[serde(default)]
            meetings: Vec<Value>,
        }
        #[derive(Deserialize)]
        struct Instance {
            uuid: String,
            start_time: Timestamp,
        }
        let path = format!("/past_meetings/{meeting}/instances");
        let response = self.send_with_retry(access, ApiCall::get(&path), now).await?;
        let list: Instances = response.json()?;
        // An unreadable entry does not hide the others.
        let readable = list.meetings.into_iter().filter_map(|it| Instance::deserialize(it).ok());
        let past =
            readable.map(|it| PastInstance { uuid: cut_id(&it.uuid), started_at: it.start_time });
        Ok(past.collect())
    }

    /// Returns the times of an ended instance.
    pub async fn past_instance_times(
        &self,
        access: &Access,
        uuid: &str,
        now: Timestamp,
    ) -> Result<PastInstanceTimes, ZoomError> {
        let path = format!("/past_meetings/{}", encoded_uuid(uuid));
        self.send_with_retry(access, ApiCall::get(&path), now).await?.json()
    }

    /// Reads the page of a list of participants after `page_token`, which is empty for the first one. `host_user` is the
    /// pseudonym of the host, who is not named in the rows.
    pub async fn participants_page(
        &self,
        access: &Access,
        (list, uuid): (ParticipantList, &str),
        page_token: &str,
        host_user: Option<&str>,
        now: Timestamp,
    ) -> Result<PageOutcome, ZoomError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            participants: Vec<Value>,
            #[serde(default)]
            next_page_token: String,
        }
        let uuid = encoded_uuid(uuid);
        let path = match list {
            ParticipantList::PastMeeting => format!("/past_meetings/{uuid}/participants"),
            ParticipantList::AccountReport => format!("/report/meetings/{uuid}/participants"),
        };
        // Both lists return the registration only on request.
        let mut query = vec![("page_size", PAGE_SIZE), ("include_fields", "registrant_id")];
        if !page_token.is_empty() {
            query.push(("next_page_token", page_token));
        }
        let response = self.send_with_retry(access, ApiCall::get(&path).query(&query), now).await;
        let page: Page = match response {
            Ok(response) => response.json()?,
            Err(ZoomError::Rejected { status: 400, code: Some(INVALID_FIELD), .. })
                if !page_token.is_empty() =>
            {
                return Ok(PageOutcome::TokenExpired);
            }
            Err(error) => return Err(error),
        };
        let rows = page.participants.iter().filter_map(|row| ListedRow::parse(row, host_user));
        Ok(PageOutcome::Page(ParticipantPage {
            rows: rows.collect(),
            next_page_token: page.next_page_token,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_with_a_slash_is_encoded_twice() {
        for (uuid, expected) in [
            ("4444AAAiAAAAAiAiAiiAii==", "4444AAAiAAAAAiAiAiiAii%3D%3D"),
            ("/ab+c==", "%252Fab%252Bc%253D%253D"),
            ("a//b", "a%252F%252Fb"),
        ] {
            assert_eq!(encoded_uuid(uuid), expected);
        }
    }
}
