//! Lists that Zoom returns in pages.
//!
//! A page token expires after 15 minutes. Zoom then refuses the next page, and the list is read from its start.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;

/// How often a list is read from its start, because a page token has expired. The pages follow each other within seconds.
pub const LIST_ATTEMPTS: usize = 3;
/// Zoom: the largest page of a list.
const PAGE_SIZE: &str = "300";
/// Zoom: 400 with this code for an invalid field, such as an expired page token.
const INVALID_FIELD: i64 = 300;

/// A list to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    /// The path behind `/v2`.
    pub(super) path: &'a str,
    /// The query without the size and the token of the page.
    pub(super) query: &'a [(&'a str, &'a str)],
    /// The member of the response with the entries.
    pub(super) field: &'a str,
    pub(super) max_pages: usize,
}

/// The entries of a list.
#[derive(Clone, Debug)]
pub(super) struct Listed<T> {
    pub(super) entries: Vec<T>,
    /// Whether there are no more pages than were read.
    pub(super) is_complete: bool,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub(super) struct ListPage {
    pub(super) entries: Vec<Value>,
    /// Empty on the last page.
    pub(super) next_page_token: String,
}

impl Zoom {
    /// Reads a list. `parse` returns `None` for an entry that is unreadable or not needed, which does not hide the others.
    pub(super) async fn list<T>(
        &self,
        access: &Access,
        list: List<'_>,
        parse: impl Fn(Value) -> Option<T>,
        now: Timestamp,
    ) -> Result<Listed<T>, ZoomError> {
        for _ in 0..LIST_ATTEMPTS {
            if let Some(listed) = self.list_once(access, list, &parse, now).await? {
                return Ok(listed);
            }
        }
        Err(ZoomError::Unavailable { reason: "the page tokens of a list expire".to_owned() })
    }

    /// Reads a list from its start. Returns `None` if a page token expires.
    async fn list_once<T>(
        &self,
        access: &Access,
        list: List<'_>,
        parse: impl Fn(Value) -> Option<T>,
        now: Timestamp,
    ) -> Result<Option<Listed<T>>, ZoomError> {
        let mut entries = Vec::new();
        let mut token = String::new();
        for _ in 0..list.max_pages {
            let Some(page) = self.list_page(access, list, &token, now).await? else {
                return Ok(None);
            };
            entries.extend(page.entries.into_iter().filter_map(&parse));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(Some(Listed { entries, is_complete: true }));
            }
        }
        Ok(Some(Listed { entries, is_complete: false }))
    }

    /// Reads the page of a list after `token`, which is empty for the first one. Returns `None` if the token has expired.
    pub(super) async fn list_page(
        &self,
        access: &Access,
        list: List<'_>,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<ListPage>, ZoomError> {
        let mut query = list.query.to_vec();
        query.push(("page_size", PAGE_SIZE));
        if !token.is_empty() {
            query.push(("next_page_token", token));
        }
        let call = ApiCall::get(list.path).query(&query);
        match self.send_with_retry(access, call, now).await {
            Ok(response) => parse_page(response.json()?, list.field).map(Some),
            Err(ZoomError::Rejected { status: 400, code: Some(INVALID_FIELD), .. })
                if !token.is_empty() =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn parse_page(mut page: Map<String, Value>, field: &str) -> Result<ListPage, ZoomError> {
    let unreadable = || ZoomError::Unavailable { reason: format!("unreadable list of {field}") };
    let entries = match page.remove(field) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(unreadable()),
    };
    let next_page_token = match page.remove("next_page_token") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(token)) => token,
        Some(_) => return Err(unreadable()),
    };
    Ok(ListPage { entries, next_page_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn page_without_entries_or_token_is_the_last_one() {
        for (page, expected) in [
            (json!({"meetings": [1], "next_page_token": "t"}), Some((1, "t"))),
            (json!({"meetings": [1], "next_page_token": ""}), Some((1, ""))),
            (json!({"meetings": null, "next_page_token": null}), Some((0, ""))),
            (json!({}), Some((0, ""))),
            // A wrong type is no proof of an empty list.
            (json!({"meetings": {}}), None),
            (json!({"meetings": [], "next_page_token": 1}), None),
        ] {
            let fields = page.as_object().cloned().expect("an object");
            let parsed = parse_page(fields, "meetings").ok();
            let found = parsed.as_ref().map(|it| (it.entries.len(), it.next_page_token.as_str()));
            assert_eq!(found, expected, "{page}");
        }
    }
}
