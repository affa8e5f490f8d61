//! Links that lead to Zoom: whose they are, and whether one makes whoever follows it the host.

use url::Url;

/// Zoom's own domains, and everything below them.
const DOMAINS: [&str; 3] = ["zoom.us", "zoom.com", "zoomgov.com"];

/// Whether a text is an https link of Zoom's own.
pub fn is_zooms(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https" && leads_to_zoom(&url))
}

/// Whether a link starts a meeting, or signs in as its host, rather than leading into it as one of many: Zoom's
/// `start_url`, which has `/s/` for a path and the host's token beside it.
pub fn is_the_hosts(url: &Url) -> bool {
    let starts = || url.path_segments().is_some_and(|mut parts| parts.next() == Some("s"));
    let signs_in = || url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("zak"));
    leads_to_zoom(url) && (starts() || signs_in())
}

fn leads_to_zoom(url: &Url) -> bool {
    // A name may end in a dot, which is the same name.
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    DOMAINS.iter().any(|domain| {
        let below = host.strip_suffix(domain);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_links_of_zooms_own_hosts_are_zooms() {
        for (link, expected) in [
            ("https://us05web.zoom.us/j/98765432101?pwd=x", true),
            ("https://zoom.us/rec/play/x", true),
            ("https://school.zoomgov.com/j/1", true),
            ("https://ZOOM.US./j/1", true),
            ("http://us05web.zoom.us/j/1", false),
            ("https://zoom.us.example.test/j/1", false),
            ("https://notzoom.us/j/1", false),
            ("https://example.test/?to=zoom.us", false),
            ("zoommtg://zoom.us/join?confno=1", false),
            ("", false),
        ] {
            assert_eq!(is_zooms(link), expected, "{link}");
        }
    }

    #[test]
    fn a_link_that_makes_a_host_is_told_from_one_that_lets_in() {
        for (link, expected) in [
            ("https://us05web.zoom.us/s/98765432101?zak=eyJ", true),
            ("https://us05web.zoom.us/s/98765432101", true),
            ("https://us05web.zoom.us/j/98765432101?pwd=x&ZAK=eyJ", true),
            ("https://us05web.zoom.us/j/98765432101?pwd=x", false),
            ("https://us05web.zoom.us/my/s", false),
            ("https://us05web.zoom.us/wc/join/1", false),
            ("https://meet.example.test/s/1?zak=x", false),
        ] {
            assert_eq!(is_the_hosts(&Url::parse(link).unwrap()), expected, "{link}");
        }
    }
}
