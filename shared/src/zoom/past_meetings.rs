//! Past meetings: their instances, and Zoom's lists of participants.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Access, ApiCall, Zoom, encode_uuid};
use super::error::ZoomError;
use super::lists::List;
use crate::domain::id::MeetingId;
use crate::domain::zoom_event::cut_id;
use crate::domain::zoom_report::ListedRow;

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
        let path = format!("/past_meetings/{}", encode_uuid(uuid));
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
        let uuid = encode_uuid(uuid);
        let path = match list {
            ParticipantList::PastMeeting => format!("/past_meetings/{uuid}/participants"),
            ParticipantList::AccountReport => format!("/report/meetings/{uuid}/participants"),
        };
        // Both lists return the registration only on request.
        let query = [("include_fields", "registrant_id")];
        let list = List { path: &path, query: &query, field: "participants", max_pages: 1 };
        let Some(page) = self.list_page(access, list, page_token, now).await? else {
            return Ok(PageOutcome::TokenExpired);
        };
        let rows = page.entries.iter().filter_map(|row| ListedRow::parse(row, host_user));
        Ok(PageOutcome::Page(ParticipantPage {
            rows: rows.collect(),
            next_page_token: page.next_page_token,
        }))
    }
}
