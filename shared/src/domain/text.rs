//! Validated text types for user input.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Zoom's limit for a topic, and about the longest subject that mail clients display well.
pub const TITLE_LIMIT_CHARS: usize = 200;
/// Zoom's limit for an agenda.
pub const DESCRIPTION_LIMIT_CHARS: usize = 2000;
/// The longest question that participants can read while the trainer speaks.
pub const QUESTION_LIMIT_CHARS: usize = 300;
/// The longest option that fits on a button.
pub const OPTION_LIMIT_CHARS: usize = 200;
/// A generous limit for names in any script.
pub const NAME_LIMIT_CHARS: usize = 200;
/// RFC 5321, section 4.5.3.1.3: a path is at most 256 octets, two of them the angle brackets.
pub const EMAIL_LIMIT_BYTES: usize = 254;

/// Stands for stored text without any readable character.
const UNREADABLE_TEXT: &str = "?";

/// The reason why text is invalid. The message follows a field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most {limit} characters")]
    TooLong { limit: usize },
    #[error("must not contain control characters")]
    Control,
    #[error("must contain a visible character")]
    Invisible,
    #[error("must be an e-mail address")]
    NotAnEmail,
    #[error("must have only ASCII characters before the @")]
    LocalPart,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:expr, read: $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates user input.
            pub fn parse(text: &str) -> Result<Self, InvalidText> {
                let parse: fn(&str) -> Result<String, InvalidText> = $parse;
                let parsed = Self(parse(text)?);
                if !parsed.0.is_empty() && parsed.0.chars().all(is_invisible) {
                    return Err(InvalidText::Invisible);
                }
                Ok(parsed)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Reads stored text. Another version with weaker rules may have written it, so invalid text is made valid.
        impl From<String> for $name {
            fn from(text: String) -> Self {
                let parse: fn(&str) -> Result<String, InvalidText> = $parse;
                let read: fn(&str) -> String = $read;
                Self(parse(&text).unwrap_or_else(|_| read(&text)))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

text!(
    /// The title of a session or course: one line, 1 to 200 characters.
    Title,
    |text| parse_line(text, TITLE_LIMIT_CHARS),
    read: |text| clean_line(text, TITLE_LIMIT_CHARS)
);
text!(
    /// A person's name: one line, 1 to 200 characters.
    PersonName,
    |text| parse_line(text, NAME_LIMIT_CHARS),
    read: |text| clean_line(text, NAME_LIMIT_CHARS)
);
text!(
    /// The question of a poll: one line, 1 to 300 characters.
    Question,
    |text| parse_line(text, QUESTION_LIMIT_CHARS),
    read: |text| clean_line(text, QUESTION_LIMIT_CHARS)
);
text!(
    /// The text of a poll option: one line, 1 to 200 characters.
    OptionText,
    |text| parse_line(text, OPTION_LIMIT_CHARS),
    read: |text| clean_line(text, OPTION_LIMIT_CHARS)
);
text!(
    /// The description of a session: lines of text, up to 2,000 characters.
    Description,
    |text| parse_lines(text, DESCRIPTION_LIMIT_CHARS),
    read: |text| clean(text, DESCRIPTION_LIMIT_CHARS, |c| matches!(c, '\n' | '\t'))
);
text!(
    /// An e-mail address in lower case with the domain in its DNS form, so that spellings of one address are equal.
    /// RFC 5321 allows a case-sensitive local part, but no major mail service uses it.
    Email,
    parse_email,
    // A stored address was valid when it was written.
    read: str::to_owned
);

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Invisible characters: Unicode's `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt, 16.0), which are joiners,
/// direction marks, fillers and selectors, and the Braille pattern without dots.
const INVISIBLE: [std::ops::RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Returns whether a character is invisible. Scripts and emoji need such characters, so only text that consists entirely of
/// them is rejected.
fn is_invisible(c: char) -> bool {
    c.is_whitespace() || INVISIBLE.iter().any(|range| range.contains(&c))
}

/// Trims a line and rejects control characters. CR and LF would end a mail header, and NUL a C string.
fn parse_line(text: &str, limit: usize) -> Result<String, InvalidText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidText::Empty);
    }
    if text.chars().count() > limit {
        return Err(InvalidText::TooLong { limit });
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(InvalidText::Control);
    }
    Ok(text.to_owned())
}

/// Trims the end, converts line ends to LF, and rejects control characters other than tabs.
fn parse_lines(text: &str, limit: usize) -> Result<String, InvalidText> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_end();
    if text.chars().count() > limit {
        return Err(InvalidText::TooLong { limit });
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(InvalidText::Control);
    }
    Ok(text.to_owned())
}

/// Replaces control characters by spaces and cuts the text at its limit.
fn clean(text: &str, limit: usize, is_allowed: fn(char) -> bool) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    let clean = text.chars().map(|c| if is_plain(c) || is_allowed(c) { c } else { ' ' });
    clean.collect::<String>().trim().chars().take(limit).collect()
}

/// Returns a valid line that resembles an invalid one.
fn clean_line(text: &str, limit: usize) -> String {
    let line = clean(text, limit, |_| false);
    if line.is_empty() { UNREADABLE_TEXT.to_owned() } else { line }
}

fn parse_email(text: &str) -> Result<String, InvalidText> {
    let text = text.trim();
    if text.len() > EMAIL_LIMIT_BYTES {
        return Err(InvalidText::TooLong { limit: EMAIL_LIMIT_BYTES });
    }
    // Quoted local parts and address literals are legal, but only attackers use them.
    let is_plain = !text.contains(['"', '[', ']', '(', ')', '<', '>', ',', ';', ':', '\\'])
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let address =
        email_address::EmailAddress::from_str(text).map_err(|_| InvalidText::NotAnEmail)?;
    if !is_plain || !address.domain().contains('.') {
        return Err(InvalidText::NotAnEmail);
    }
    // A domain in another script is sent as A-labels (RFC 5890). A local part has no such form.
    if !address.local_part().is_ascii() {
        return Err(InvalidText::LocalPart);
    }
    let Ok(url::Host::Domain(domain)) = url::Host::parse(address.domain()) else {
        return Err(InvalidText::NotAnEmail);
    };
    let email = format!("{}@{domain}", address.local_part().to_ascii_lowercase());
    if email.len() > EMAIL_LIMIT_BYTES {
        return Err(InvalidText::TooLong { limit: EMAIL_LIMIT_BYTES });
    }
    Ok(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_is_one_line_of_1_to_200_characters() {
        let cases = [
            ("  Algebra I ", Ok("Algebra I")),
            ("", Err(InvalidText::Empty)),
            (" \t ", Err(InvalidText::Empty)),
            ("a\r\nBcc: x@y.z", Err(InvalidText::Control)),
            ("a\0b", Err(InvalidText::Control)),
            ("👩‍🏫 درس مباشر <script>=1+1", Ok("👩‍🏫 درس مباشر <script>=1+1")),
            ("\u{200b}\u{feff} \u{2800}\u{3164}\u{e0041}", Err(InvalidText::Invisible)),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Title::parse(text).as_ref().map(Title::as_str).map_err(|e| *e),
                expected,
                "{text:?}"
            );
        }
        for (stored, read) in [
            ("\u{200b}", "\u{200b}"),
            ("a\u{7}b\r\n", "a b"),
            ("\u{7}", "?"),
            (&"é".repeat(300), &"é".repeat(200)),
        ] {
            assert_eq!(Title::from(stored.to_owned()).as_str(), read, "a stored title is readable");
        }
        assert!(Title::parse(&"é".repeat(200)).is_ok(), "the limit counts characters, not bytes");
        assert_eq!(Title::parse(&"é".repeat(201)), Err(InvalidText::TooLong { limit: 200 }));
    }

    #[test]
    fn description_keeps_line_breaks() {
        assert_eq!(Description::parse("a\r\n\tb\n").unwrap().as_str(), "a\n\tb");
        assert_eq!(Description::parse("a\u{1b}[2J"), Err(InvalidText::Control));
        assert_eq!(
            Description::parse(&"x".repeat(2001)),
            Err(InvalidText::TooLong { limit: 2000 })
        );
    }

    #[test]
    fn email_is_normalized_to_plain_lower_case() {
        assert_eq!(
            Email::parse(" Ada.Lovelace+math@Example.TEST ").unwrap().as_str(),
            "ada.lovelace+math@example.test"
        );
        for (typed, stored) in [
            ("a@Ü.test", "a@xn--tda.test"),
            ("a@xn--tda.test", "a@xn--tda.test"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("o'neil_x@mail-1.example.test", "o'neil_x@mail-1.example.test"),
        ] {
            assert_eq!(Email::parse(typed).unwrap().as_str(), stored);
        }
        assert_eq!(Email::parse("ü@x.test"), Err(InvalidText::LocalPart));
        for bad in [
            "a@x..test",
            "a@1.2",
            "",
            "ada",
            "ada@",
            "@b.c",
            "ada@localhost",
            "a b@c.de",
            "a@b.c\r\nBcc: x@y.z",
            "\"a b\"@c.de",
            "a@[1.2.3.4]",
            "a@b.c,d@e.f",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }
}
