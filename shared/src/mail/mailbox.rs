//! Addresses: as an operator writes the sender, and as they go over the wire.

use std::str::FromStr;

use super::clean::one_line;
use crate::domain::text::{BadText, Email};

/// An address with the name that people see beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: Email,
}

/// Neither `Name <address>` nor an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be `Name <address>` or an address: the address {0}")]
pub struct BadMailbox(BadText);

impl FromStr for Mailbox {
    type Err = BadMailbox;

    fn from_str(text: &str) -> Result<Self, BadMailbox> {
        let text = text.trim();
        let named = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
        let (name, address) = named.unwrap_or(("", text));
        let address = Email::parse(address).map_err(BadMailbox)?;
        // The quotes of RFC 5322 are how a header writes the name and no part of it.
        let name = one_line(name.trim().trim_matches('"'));
        Ok(Self { name: Some(name).filter(|name| !name.is_empty()), address })
    }
}

/// The address as every mail server understands it: a domain in another script becomes its ASCII form (RFC 5891,
/// section 4.4). What stands before the `@` has no such form and stays.
pub(super) fn on_the_wire(address: &Email) -> String {
    let address = address.as_str();
    let Some((local, domain)) = address.rsplit_once('@').filter(|(_, domain)| !domain.is_ascii())
    else {
        return address.to_owned();
    };
    match url::Host::parse(domain) {
        Ok(host) => format!("{local}@{host}"),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_an_address_with_or_without_a_name() {
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

    #[test]
    fn a_domain_goes_in_ascii() {
        let cases = [
            ("ada@example.test", "ada@example.test"),
            ("ada@bücher.test", "ada@xn--bcher-kva.test"),
        ];
        for (address, wire) in cases {
            assert_eq!(on_the_wire(&Email::parse(address).unwrap()), wire);
        }
    }
}
