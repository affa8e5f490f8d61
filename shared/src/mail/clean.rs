//! Removes unsafe characters from user-supplied text. Headers, HTML and calendars add their own escaping.

/// Returns the text as one line. Line ends and other control characters become spaces.
pub(super) fn one_line(text: &str) -> String {
    let characters = text.chars().filter(|character| !changes_direction(*character));
    let line: String =
        characters.map(|character| if ends_line(character) { ' ' } else { character }).collect();
    line.trim().to_owned()
}

/// Returns the text as one line for a header. Breaks up anything that looks like an encoded word (RFC 2047, section 2),
/// because mail programs would decode it to arbitrary text.
pub(super) fn header(text: &str) -> String {
    let line = one_line(text);
    if line.contains("=?") && line.contains("?=") { line.replace("=?", "= ?") } else { line }
}

/// Returns the text with LF as the only line end.
pub(super) fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    let characters = text.chars().filter(|character| !changes_direction(*character));
    let characters =
        characters.filter(|character| !character.is_control() || matches!(character, '\n' | '\t'));
    characters.collect::<String>().trim().to_owned()
}

/// Returns the URL without characters that could end a line or an attribute.
pub(super) fn link(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() && !character.is_whitespace()).collect()
}

/// Returns the part between the angle brackets of a `Message-ID` (RFC 5322, section 3.6.4).
pub(super) fn message_id(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_ascii_graphic() && !matches!(character, '<' | '>'))
        .collect()
}

fn ends_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Whether the character changes the text direction for the rest of the line, with which a name could rearrange the
/// sentence around it. Arabic and Hebrew text does not need these characters.
fn changes_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_no_control_or_direction_characters() {
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
    fn header_contains_no_encoded_word() {
        assert_eq!(header("2 + 2 =?"), "2 + 2 =?");
        assert_eq!(header("=?utf-8?Q?=0D=0AX:_y?=\n"), "= ?utf-8?Q?=0D=0AX:_y?=");
    }

    #[test]
    fn every_line_ends_with_lf() {
        assert_eq!(lines("a\r\n\tb\rc\u{2029}d\u{1b}[2J\n\n"), "a\n\tb\nc\nd[2J");
    }

    #[test]
    fn links_and_message_ids_contain_no_whitespace() {
        assert_eq!(link("https://a.test/b\r\nX: y"), "https://a.test/bX:y");
        assert_eq!(message_id("<a b@c>\r\n"), "ab@c");
    }
}
