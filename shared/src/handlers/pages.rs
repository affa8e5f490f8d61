//! Pages of answers that may exceed the size of a response.

use http::HeaderValue;
use http::header::LINK;
use lambda_http::{Request, RequestExt};
use serde::Serialize;

use super::cursor::{Cursor, Position};
use super::edge::ResponseBody;

/// The size at which a page ends. A Lambda response has 6 MB at most, including headers and the escapes of the body, which
/// is a JSON string.
pub const PAGE_LIMIT_BYTES: usize = 5_000_000;
/// The size of an escaped control character.
const CONTROL_BYTES: usize = 6;

/// Returns the size of a text in a JSON string.
pub fn escaped_len(text: &str) -> usize {
    let size = |byte: u8| match byte {
        b'"' | b'\\' | b'\r' | b'\n' | b'\t' => 2,
        byte if byte.is_ascii_control() => CONTROL_BYTES,
        _ => 1,
    };
    text.bytes().map(size).sum()
}

/// A page of a list.
#[derive(Serialize)]
#[serde(bound = "T: Serialize")]
pub(super) struct Page<T, P: Position> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<Cursor<P>>,
}

impl<T, P: Position> Page<T, P> {
    /// `next` is the position at which the next page starts.
    pub(super) fn new(items: Vec<T>, next: Option<P>) -> Self {
        Self { items, next_cursor: next.map(Cursor) }
    }
}

impl ResponseBody {
    /// Adds a link to the next page (RFC 8288): the same query with this cursor.
    pub fn with_next_page(mut self, request: &Request, cursor: Option<&str>) -> Self {
        let Some(cursor) = cursor else { return self };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let parameters = request.query_string_parameters();
        for (name, value) in parameters.iter().filter(|(name, _)| *name != "cursor") {
            query.append_pair(name, value);
        }
        query.append_pair("cursor", cursor);
        if let Ok(link) = HeaderValue::from_str(&format!("<?{}>; rel=\"next\"", query.finish())) {
            self.add_header(LINK, link);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_length_is_that_of_the_json_string() {
        for text in ["", "a,b", "\"a\"\"b\\", "é👩‍🏫\r\n\t", "\u{1}\u{0}"] {
            assert_eq!(
                escaped_len(text) + 2,
                serde_json::to_string(text).unwrap().len(),
                "{text:?}"
            );
        }
    }
}
