//! Recognition of Zoom links, and of links that start a meeting as its host.

use url::Url;

/// Zoom's domains, including their subdomains.
const DOMAINS: [&str; 3] = ["zoom.us", "zoom.com", "zoomgov.com"];

/// The longest link. Browsers and mail clients accept about this much.
const LINK_LIMIT_BYTES: usize = 2000;
/// Rounds of percent-decoding. A link inside another link is encoded once more for each of them.
const DECODING_ROUNDS: usize = 5;

/// Parses an https link to Zoom without credentials. Callers must use the result instead of the text, because browsers may
/// read a text differently from this parser.
pub fn parse_zoom_link(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        url.scheme() == "https"
            && is_zoom_url(url)
            && url.username().is_empty()
            && url.password().is_none()
            && url.as_str().len() <= LINK_LIMIT_BYTES
    })
}

/// Returns a play URL with the secret that replaces typing the passcode.
pub fn with_play_passcode(mut play_url: Url, play_passcode: &str) -> Url {
    if !play_url.query_pairs().any(|(name, _)| name == "pwd") {
        play_url.query_pairs_mut().append_pair("pwd", play_passcode);
    }
    play_url
}

/// Returns whether a link starts a meeting or signs in as its host, like Zoom's `start_url` with the path `/s/` and the
/// host's token. A link of another site may contain such a link, so the token is found in every link and in every part.
pub fn is_host_link(url: &Url) -> bool {
    let mut parts = url.path().split('/').filter(|part| !part.is_empty());
    let starts = parts.next().is_some_and(|part| decoded(part) == "s");
    (is_zoom_url(url) && starts) || has_host_token(&decoded(url.as_str()))
}

/// Returns whether a decoded link has a parameter `zak`. A word such as `/zaki` is none.
fn has_host_token(link: &str) -> bool {
    let link = link.to_ascii_lowercase();
    link.match_indices("zak").any(|(at, name)| {
        let before = link[..at].chars().next_back();
        let after = link[at + name.len()..].trim_start();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && after.starts_with(['=', ':', '"', '\'', ']'])
    })
}

/// Decodes a text until it has no more percent-encoded characters.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..DECODING_ROUNDS {
        let next = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if next == text {
            break;
        }
        text = next;
    }
    text
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
            ("https://zoom.us@example.test/j/1", false),
            ("https://example.test\\@zoom.us/j/1", false),
            ("https://example.test@zoom.us/j/1", false),
            ("https://:x@zoom.us/j/1", false),
            (&format!("https://zoom.us/j/1?a={}", "x".repeat(2000)), false),
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
            ("https://zoom.us/rec\\play\u{7}\u{1}x", "https://zoom.us/rec/play%07%01x"),
            ("https://zoom.us/rec\r\n/play#a\u{0}b c", "https://zoom.us/rec/play#a%00b%20c"),
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
            ("https://us05web.zoom.us/%73/98765432101", true),
            ("https://us05web.zoom.us//s/98765432101", true),
            ("https://us05web.zoom.us/j/1#zak=eyJ", true),
            ("https://us05web.zoom.us/j/1#/?pwd=x&zak=eyJ", true),
            ("https://us05web.zoom.us/j/1;zak=eyJ", true),
            ("https://us05web.zoom.us/j/1?%7aAk=eyJ", true),
            ("https://us05web.zoom.us/j/1?z\tak=eyJ", true),
            ("https://us05web.zoom.us/j/1?zak%3DeyJ", true),
            ("https://us05web.zoom.us/j/1?p[zak]=eyJ", true),
            ("https://meet.example.test/s/1?zak=x", true),
            ("https://example.test/?to=https%3A%2F%2Fzoom.us%2Fj%2F1%3Fzak%3DeyJ", true),
            (
                "https://example.test/?to=https%253A%252F%252Fzoom.us%252Fj%252F1%253Fzak%253DeyJ",
                true,
            ),
            ("https://meet.example.test/s/1", false),
            ("https://meet.example.test/zak/room", false),
            ("https://meet.example.test/muzak=1", false),
            ("https://meet.example.test/?prozak=1&a=zak", false),
        ] {
            assert_eq!(is_host_link(&Url::parse(link).unwrap()), expected, "{link}");
        }
    }
}
