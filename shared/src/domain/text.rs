//! Bounded text. What a person typed becomes one of these at the edge, or is refused with the reason.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Zoom's limit for a topic, and the longest subject that mail clients still show sensibly.
pub const TITLE_LIMIT_CHARS: usize = 200;
/// Zoom's limit for an agenda.
pub const DESCRIPTION_LIMIT_CHARS: usize = 2000;
/// A question that can be taken in while somebody speaks.
pub const QUESTION_LIMIT_CHARS: usize = 300;
/// An answer that fits on a button.
pub const OPTION_LIMIT_CHARS: usize = 200;
/// Generous for a person's name in any script.
pub const NAME_LIMIT_CHARS: usize = 200;
/// RFC 5321, section 4.5.3.1.3: a path is at most 256 octets, two of them the angle brackets.
pub const EMAIL_LIMIT_BYTES: usize = 254;

/// Why a text was refused, in words that fit behind a field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most {limit} characters")]
    TooLong { limit: usize },
    #[error("must not contain control characters")]
    Control,
    #[error("must contain something that can be seen")]
    Invisible,
    #[error("is not an e-mail address")]
    NotAnEmail,
    #[error("must have plain letters, digits and signs before the @: mail services take no others")]
    LocalPart,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        text!($(#[$doc])* $name, $parse, read: $parse);
    };
    ($(#[$doc:meta])* $name:ident, $parse:expr, read: $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What a person typed.
            pub fn parse(text: &str) -> Result<Self, BadText> {
                let parse: fn(&str) -> Result<String, BadText> = $parse;
                let parsed = Self(parse(text)?);
                if !parsed.0.is_empty() && parsed.0.chars().all(is_invisible) {
                    return Err(BadText::Invisible);
                }
                Ok(parsed)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// What was stored: it was parsed then, by a version that may have been less strict.
        impl TryFrom<String> for $name {
            type Error = BadText;
            fn try_from(text: String) -> Result<Self, BadText> {
                let read: fn(&str) -> Result<String, BadText> = $read;
                read(&text).map(Self)
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
    /// A class's or a course's title: one line, 1 to 200 characters.
    Title,
    |text| one_line(text, TITLE_LIMIT_CHARS)
);
text!(
    /// A person's name: one line, 1 to 200 characters.
    PersonName,
    |text| one_line(text, NAME_LIMIT_CHARS)
);
text!(
    /// What a poll asks: one line, 1 to 300 characters.
    Question,
    |text| one_line(text, QUESTION_LIMIT_CHARS)
);
text!(
    /// An answer that a poll offers: one line, 1 to 200 characters.
    OptionText,
    |text| one_line(text, OPTION_LIMIT_CHARS)
);
text!(
    /// A class's description: lines of text, up to 2,000 characters.
    Description,
    |text| lines(text, DESCRIPTION_LIMIT_CHARS)
);
text!(
    /// An e-mail address in lower case and with its domain as it stands in the DNS, so that equal people compare equal.
    /// RFC 5321 lets the part before the `@` be case-sensitive; no mail service of note makes use of that, and people
    /// type as they like.
    Email,
    email,
    // One that was stored was an address when it was.
    read: |text| Ok(email(text).unwrap_or_else(|_| text.to_owned()))
);

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that leave nothing to be seen: Unicode's `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt, 16.0),
/// which are joiners, marks of direction, fillers and selectors, and the Braille pattern without a dot.
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

/// They are welcome inside a text, where a script or an emoji needs them; a text of nothing else is none.
fn is_invisible(c: char) -> bool {
    c.is_whitespace() || INVISIBLE.iter().any(|range| range.contains(&c))
}

/// Trimmed, without control characters: CR and LF would end a mail header, NUL a C string.
fn one_line(text: &str, limit: usize) -> Result<String, BadText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadText::Empty);
    }
    if text.chars().count() > limit {
        return Err(BadText::TooLong { limit });
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(BadText::Control);
    }
    Ok(text.to_owned())
}

/// Trimmed at the end, line ends as LF, no other control characters than tabs.
fn lines(text: &str, limit: usize) -> Result<String, BadText> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_end();
    if text.chars().count() > limit {
        return Err(BadText::TooLong { limit });
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(BadText::Control);
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, BadText> {
    let text = text.trim();
    if text.len() > EMAIL_LIMIT_BYTES {
        return Err(BadText::TooLong { limit: EMAIL_LIMIT_BYTES });
    }
    // Quoted local parts and address literals are legal and used by nobody but those who probe a parser.
    let plain = !text.contains(['"', '[', ']', '(', ')', '<', '>', ',', ';', ':', '\\'])
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let address = email_address::EmailAddress::from_str(text).map_err(|_| BadText::NotAnEmail)?;
    if !plain || !address.domain().contains('.') {
        return Err(BadText::NotAnEmail);
    }
    // Mail services take a domain in another script as its A-labels (RFC 5890); a local part has none.
    if !address.local_part().is_ascii() {
        return Err(BadText::LocalPart);
    }
    let Ok(url::Host::Domain(domain)) = url::Host::parse(address.domain()) else {
        return Err(BadText::NotAnEmail);
    };
    let email = format!("{}@{domain}", address.local_part().to_ascii_lowercase());
    if email.len() > EMAIL_LIMIT_BYTES {
        return Err(BadText::TooLong { limit: EMAIL_LIMIT_BYTES });
    }
    Ok(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_line_of_1_to_200_characters() {
        let cases = [
            ("  Algebra I ", Ok("Algebra I")),
            ("", Err(BadText::Empty)),
            (" \t ", Err(BadText::Empty)),
            ("a\r\nBcc: x@y.z", Err(BadText::Control)),
            ("a\0b", Err(BadText::Control)),
            ("👩‍🏫 درس مباشر <script>=1+1", Ok("👩‍🏫 درس مباشر <script>=1+1")),
            ("\u{200b}\u{feff} \u{2800}\u{3164}\u{e0041}", Err(BadText::Invisible)),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Title::parse(text).as_ref().map(Title::as_str).map_err(|e| *e),
                expected,
                "{text:?}"
            );
        }
        assert!(
            Title::try_from("\u{200b}".to_owned()).is_ok(),
            "one that was stored is still read"
        );
        assert!(Title::parse(&"é".repeat(200)).is_ok(), "characters are counted, not bytes");
        assert_eq!(Title::parse(&"é".repeat(201)), Err(BadText::TooLong { limit: 200 }));
    }

    #[test]
    fn descriptions_keep_their_lines() {
        assert_eq!(Description::parse("a\r\n\tb\n").unwrap().as_str(), "a\n\tb");
        assert_eq!(Description::parse("a\u{1b}[2J"), Err(BadText::Control));
        assert_eq!(Description::parse(&"x".repeat(2001)), Err(BadText::TooLong { limit: 2000 }));
    }

    #[test]
    fn addresses_are_plain_and_lower_case() {
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
        assert_eq!(Email::parse("ü@x.test"), Err(BadText::LocalPart));
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
