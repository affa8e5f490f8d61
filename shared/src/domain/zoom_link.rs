//! Recognition of Zoom links, and of links that start a meeting as its host.

use url::Url;

/// Zoom's domains, including their subdomains.
const DOMAINS: [&str; 3] = ["zoom.us", "zoom.com", "zoomgov.com"];

/// Parses an https link to Zoom. Callers must use the result instead of the text, because browsers may read a text
/// differently from this parser.
pub fn parse_zoom_link(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| url.scheme() == "https" && is_zoom_url(url))
}

/// Returns a play URL with the secret that replaces typing the passcode.
pub fn with_play_passcode(mut play_url: Url, play_passcode: &str) -> Url {
    if !play_url.query_pairs().any(|(name, _)| name == "pwd") {
        play_url.query_pairs_mut().append_pair("pwd", play_passcode);
    }
    play_url
}

/// Returns whether a link starts a meeting or signs in as its host, like Zoom's `start_url` with the path `/s/` and the
/// host's token.
pub fn is_host_link(url: &Url) -> bool {
    let starts = || url.path_segments().is_some_and(|mut parts| parts.next() == Some("s"));
    let signs_in = || url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("zak"));
    is_zoom_url(url) && (starts() || signs_in())
}

fn is_zoom_url(url: &Url) -> bool {
    // A trailing dot does not change a domain name.
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    DOMAINS.iter().any(|domain| {
        let subdomain = host.strip_suffix(domain);
        subdomain.is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zoom_link_requires_https_and_a_zoom_domain() {
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
            assert_eq!(parse_zoom_link(link).is_some(), expected, "{link}");
        }
    }

    #[test]
    fn zoom_link_is_returned_as_it_was_checked() {
        for (text, link) in [
            ("https://zo\tom.us/rec/play/x", "https://zoom.us/rec/play/x"),
            (" https:\\\\zoom.us\\rec", "https://zoom.us/rec"),
            ("HTTPS://ZOOM.US/rec/play/x", "https://zoom.us/rec/play/x"),
        ] {
            assert_eq!(parse_zoom_link(text).unwrap().as_str(), link);
        }
    }

    #[test]
    fn play_passcode_is_added_once() {
        let with = |link| with_play_passcode(Url::parse(link).unwrap(), "a+b-_/=").to_string();
        let added = "pwd=a%2Bb-_%2F%3D";
        assert_eq!(
            with("https://zoom.us/rec/play/x"),
            format!("https://zoom.us/rec/play/x?{added}")
        );
        assert_eq!(
            with("https://zoom.us/rec/play/x?a=1"),
            format!("https://zoom.us/rec/play/x?a=1&{added}")
        );
        assert_eq!(
            with("https://zoom.us/rec/play/x?pwd=own"),
            "https://zoom.us/rec/play/x?pwd=own"
        );
    }

    #[test]
    fn host_link_differs_from_participant_link() {
        for (link, expected) in [
            ("https://us05web.zoom.us/s/98765432101?zak=eyJ", true),
            ("https://us05web.zoom.us/s/98765432101", true),
            ("https://us05web.zoom.us/j/98765432101?pwd=x&ZAK=eyJ", true),
            ("https://us05web.zoom.us/j/98765432101?pwd=x", false),
            ("https://us05web.zoom.us/my/s", false),
            ("https://us05web.zoom.us/wc/join/1", false),
            ("https://meet.example.test/s/1?zak=x", false),
        ] {
            assert_eq!(is_host_link(&Url::parse(link).unwrap()), expected, "{link}");
        }
    }
}
