//! The configured sender address.

use std::str::FromStr;

use super::clean::one_line;
use crate::domain::text::{Email, InvalidText};

/// An address with an optional display name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: Email,
}

/// The text is neither `Name <address>` nor a plain address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `Name <address>` or an address: the address {0}")]
pub struct BadMailbox(InvalidText);

impl FromStr for Mailbox {
    type Err = BadMailbox;

    fn from_str(text: &str) -> Result<Self, BadMailbox> {
        let text = text.trim();
        let named = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
        let (name, address) = named.unwrap_or(("", text));
        let address = Email::parse(address).map_err(BadMailbox)?;
        // Quotes around the name belong to the header syntax of RFC 5322 and not to the name.
        let name = one_line(name.trim().trim_matches('"'));
        Ok(Self { name: Some(name).filter(|name| !name.is_empty()), address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailbox_is_an_address_with_an_optional_name() {
        let cases = [
            ("Live Classes <a@b.test>", Some("Live Classes"), "a@b.test"),
            ("\"Classes, Ltd.\" <A@b.test>", Some("Classes, Ltd."), "a@b.test"),
            (" a@b.test ", None, "a@b.test"),
            ("<a@b.test>", None, "a@b.test"),
            ("Ä<ö>\r\nBcc: x <a@b.test>", Some("Ä<ö>  Bcc: x"), "a@b.test"),
        ];
        for (text, name, address) in cases {
            let mailbox: Mailbox = text.parse().unwrap();
            assert_eq!(
                (mailbox.name.as_deref(), mailbox.address.as_str()),
                (name, address),
                "{text:?}"
            );
        }
        for bad in ["", "Live Classes", "Live Classes <>", "a@b.test, c@d.test", "<a@b.test"] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad:?}");
        }
    }
}
