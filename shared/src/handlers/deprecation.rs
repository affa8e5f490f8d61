//! The announcement that a route will be removed, in the headers of its responses (RFC 9745, RFC 8594).

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, LINK};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The shortest time between the announcement of a removal and the removal: the shortest half of a year.
pub const MIN_LEAD_TIME: Duration = Duration::from_hours(181 * 24);

/// The times of a deprecated route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// Since when the route is deprecated.
    pub since: Timestamp,
    /// From when the route may be missing.
    pub sunset: Timestamp,
    /// The address of a page about the replacement.
    pub page: &'static str,
}

impl Deprecation {
    /// Adds the headers. An existing `Link` stays in front, in the same field, because API Gateway keeps one field of a
    /// name.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let link = format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", self.page);
        let link = match headers.get(LINK).and_then(|link| link.to_str().ok()) {
            Some(existing) => format!("{existing}, {link}"),
            None => link,
        };
        let printer = rfc2822::DateTimePrinter::new();
        let fields = [
            (HeaderName::from_static("deprecation"), format!("@{}", self.since.as_second())),
            (
                HeaderName::from_static("sunset"),
                printer.timestamp_to_rfc9110_string(&self.sunset).unwrap_or_default(),
            ),
            (LINK, link),
        ];
        for (name, text) in fields {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }

    /// Returns the first rule of the policy that the announcement breaks.
    pub fn problem(&self) -> Option<&'static str> {
        let lead_time =
            Duration::try_from(self.sunset.duration_since(self.since)).unwrap_or_default();
        if lead_time < MIN_LEAD_TIME {
            Some("is removed less than half a year after its announcement")
        } else if !self.page.starts_with("https://") || HeaderValue::from_str(self.page).is_err() {
            Some("links to no https address")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPRECATION: Deprecation = Deprecation {
        since: Timestamp::constant(1_798_761_600, 0),
        sunset: Timestamp::constant(1_814_400_000, 0),
        page: "https://example.com/changes",
    };

    #[test]
    fn headers_follow_the_standards() {
        let mut headers = HeaderMap::new();
        DEPRECATION.add_headers(&mut headers);
        assert_eq!(headers["deprecation"], "@1798761600");
        assert_eq!(headers["sunset"], "Thu, 01 Jul 2027 00:00:00 GMT");
        assert_eq!(
            headers["link"],
            "<https://example.com/changes>; rel=\"deprecation\"; type=\"text/html\""
        );
    }

    #[test]
    fn link_to_the_next_page_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_static("<?cursor=a>; rel=\"next\""));
        DEPRECATION.add_headers(&mut headers);
        assert_eq!(
            headers["link"],
            "<?cursor=a>; rel=\"next\", <https://example.com/changes>; rel=\"deprecation\"; \
             type=\"text/html\""
        );
        assert_eq!(headers.get_all(LINK).iter().count(), 1);
    }

    #[test]
    fn announcement_needs_half_a_year_and_a_page() {
        let early = DEPRECATION.since + Duration::from_hours(180 * 24);
        for (deprecation, is_valid) in [
            (DEPRECATION, true),
            (Deprecation { sunset: early, ..DEPRECATION }, false),
            (Deprecation { sunset: DEPRECATION.since, ..DEPRECATION }, false),
            (
                Deprecation { since: DEPRECATION.sunset, sunset: DEPRECATION.since, ..DEPRECATION },
                false,
            ),
            (Deprecation { page: "http://example.com", ..DEPRECATION }, false),
            (Deprecation { page: "https://example.com/\n", ..DEPRECATION }, false),
        ] {
            assert_eq!(deprecation.problem().is_none(), is_valid, "{deprecation:?}");
        }
    }
}
