//! Text of strangers, before it stands in a header, a page or a calendar. Each channel escapes for itself; here goes
//! what has no place in any.

/// One line: line ends and other control characters become spaces.
pub(super) fn one_line(text: &str) -> String {
    let signs = text.chars().filter(|sign| !reorders(*sign));
    let line: String = signs.map(|sign| if ends_line(sign) { ' ' } else { sign }).collect();
    line.trim().to_owned()
}

/// One line for a header. What looks like an encoded word (RFC 2047, section 2) would be decoded by its reader, into
/// whatever its writer likes; torn apart it is the text that it is.
pub(super) fn header(text: &str) -> String {
    let line = one_line(text);
    if line.contains("=?") && line.contains("?=") { line.replace("=?", "= ?") } else { line }
}

/// Lines of text, each ended by LF alone.
pub(super) fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    let signs = text.chars().filter(|sign| !reorders(*sign));
    let signs = signs.filter(|sign| !sign.is_control() || matches!(sign, '\n' | '\t'));
    signs.collect::<String>().trim().to_owned()
}

/// An address of a page: nothing that could end the line or the attribute in which it stands.
pub(super) fn link(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control() && !sign.is_whitespace()).collect()
}

/// What stands between the angle brackets of a `Message-ID` (RFC 5322, section 3.6.4).
pub(super) fn message_id(text: &str) -> String {
    text.chars().filter(|sign| sign.is_ascii_graphic() && !matches!(sign, '<' | '>')).collect()
}

fn ends_line(sign: char) -> bool {
    sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}')
}

/// Marks that turn round the direction of what follows, up to the end of the line: a name could rearrange the
/// sentence that it stands in. Arabic and Hebrew need none of them.
fn reorders(sign: char) -> bool {
    matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stays_one() {
        let cases = [
            ("Ada", "Ada"),
            (" a\r\nBcc: x\u{2028}y\0 ", "a  Bcc: x y"),
            ("👩‍🏫 درس مباشر", "👩‍🏫 درس مباشر"),
            ("exe\u{202e}cod.gpj", "execod.gpj"),
        ];
        for (text, cleaned) in cases {
            assert_eq!(one_line(text), cleaned);
        }
    }

    #[test]
    fn a_header_holds_no_encoded_word_of_strangers() {
        assert_eq!(header("2 + 2 =?"), "2 + 2 =?");
        assert_eq!(header("=?utf-8?Q?=0D=0AX:_y?=\n"), "= ?utf-8?Q?=0D=0AX:_y?=");
    }

    #[test]
    fn lines_end_alike() {
        assert_eq!(lines("a\r\n\tb\rc\u{2029}d\u{1b}[2J\n\n"), "a\n\tb\nc\nd[2J");
    }

    #[test]
    fn links_and_ids_are_one_word() {
        assert_eq!(link("https://a.test/b\r\nX: y"), "https://a.test/bX:y");
        assert_eq!(message_id("<a b@c>\r\n"), "ab@c");
    }
}
