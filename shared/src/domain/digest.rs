//! SHA-256 digests, from which ids and fingerprints are derived. A derived id is equal on a retry.
//!
//! There are two framings. New ids use [`Digest::new`]. [`Digest::unframed`] exists for ids that earlier versions have
//! stored or returned: another framing would give a repeated request a second session, a sent mail a second key, and a
//! person a second row in a report.

use sha2::{Digest as _, Sha256};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of a list of parts. The label separates the ids of one purpose from all others, and length
    /// prefixes separate lists whose parts only join to the same text.
    pub fn new<'a>(label: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(label).chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Returns the digest of the joined pieces, among which the caller passes the separators.
    pub fn unframed(pieces: &[&[u8]]) -> Self {
        let hash = pieces.iter().fold(Sha256::new(), |hash, piece| hash.chain_update(piece));
        Self(hash.finalize().into())
    }

    /// Returns the digest of one value, which needs no framing.
    pub fn of_value(value: impl AsRef<[u8]>) -> Self {
        Self::unframed(&[value.as_ref()])
    }

    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Returns the first `N` of 32 bytes.
    pub fn first<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[..N]);
        bytes
    }

    /// Returns all 64 hex digits.
    pub fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// Returns the first of 64 hex digits.
    pub fn hex(self, digits: usize) -> String {
        let mut text = self.to_hex();
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attendance::AttendeeId;
    use crate::domain::domain_event::EventNonce;
    use crate::domain::id::zoom_user_pseudonym;
    use crate::domain::id::{OptionId, PollId, SessionId, UserId};
    use crate::domain::mailing::{
        AddressDigest, MailKind, MailSubject, MessageKey, PersonRef, RecipientRef,
    };
    use crate::domain::text::Email;
    use crate::domain::vote::Voter;

    #[test]
    fn digest_of_a_value_matches_the_published_test_vector() {
        // FIPS 180-2, B.1.
        assert_eq!(
            Digest::of_value("abc").to_hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn different_lists_of_parts_have_different_digests() {
        let lists = [
            ("a", vec![]),
            ("a", vec![""]),
            ("", vec!["a"]),
            ("a", vec!["b", "c"]),
            ("a", vec!["bc"]),
            ("ab", vec!["c"]),
            ("a", vec!["b\0c"]),
        ];
        let digests: std::collections::BTreeSet<_> =
            lists.iter().map(|(label, parts)| Digest::new(label, parts.clone()).to_hex()).collect();
        assert_eq!(digests.len(), lists.len());
    }

    /// The values were computed from the framings of the first version, independently of this code.
    #[test]
    fn derived_ids_are_those_of_earlier_versions() {
        let session = SessionId::from_bytes([1; 16]);
        let poll = PollId::from_bytes([2; 16]);
        let user = UserId::parse("student-1").unwrap();
        let email = Email::parse("student1@example.test").unwrap();
        let about = MailSubject::Session(session.clone());
        let voter = Voter::from_user(&user);
        let ids = [
            MessageKey::new("cause", MailKind::Updated, &email).as_str().to_owned(),
            RecipientRef::new(&about, &email).as_str().to_owned(),
            PersonRef::of_user(&about, &user).as_str().to_owned(),
            PersonRef::of_address(&about, &email).as_str().to_owned(),
            AddressDigest::new(&email).as_str().to_owned(),
            AttendeeId::for_user(&session, &user).as_str().to_owned(),
            AttendeeId::for_participation(&session, "uuid==", "p-1").as_str().to_owned(),
            voter.barred(&poll).as_str().to_owned(),
            voter.shard_number(997).to_string(),
            zoom_user_pseudonym("zoom-user"),
            EventNonce::derive("cause").0.to_string(),
            SessionId::for_key(&UserId::parse("trainer-1").unwrap(), "key").as_str().to_owned(),
            PollId::for_key(&session, "key").as_str().to_owned(),
            OptionId::for_option(&poll, 3).as_str().to_owned(),
        ];
        let expected = [
            "ec513e1176af2e333351d16d660cc861",
            "b7dd4d88a23b9941a875",
            "p4fc24b24bb70d49dfa6a",
            "pa71ff799a7f79fb9a9a4",
            "8015095350d969a2d88705b761ee6b3c4664b74b0e5f0727687527dc9c3248e8",
            "att_d3q3qxvjnufmruoqsg36xcelxa",
            "att_av7lome5fbmyp43khdq53fwwde",
            "e#pgiaxnpmlwnp4revcc2pazxgqa",
            "532",
            "e25113cfe47f7375",
            "3746990633771704",
            "ses_fse7xikdtsfl65mqf5iiwfdojm",
            "pol_3kqz4klhckonzkqzsflx2dshte",
            "opt_nrjaxwvxugakmvhr",
        ];
        assert_eq!(ids, expected);
    }
}
