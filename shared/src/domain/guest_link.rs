//! Guest links: how an invited person enters a session without an account.
//!
//! A link is derived, not stored. Its token contains the session, a digest of the address, and a generation, so that a
//! retry of a mail, an update and a reminder have the same link as the invitation. The invitation stores the generation
//! from which links are valid. A resend raises it, and an address that is invited again starts with a higher one.

use jiff::Timestamp;

use super::id::SessionId;
use super::link_generation::LinkGeneration;
use super::mailing::AddressDigest;
use super::session::{Session, Status};

const SESSION_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 32;
const GENERATION_BYTES: usize = 8;

/// The length of an encoded link.
pub const LINK_BYTES: usize = SESSION_BYTES + ADDRESS_BYTES + GENERATION_BYTES;

/// The content of a guest token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLink {
    pub session: SessionId,
    pub to: AddressDigest,
    pub generation: LinkGeneration,
}

impl GuestLink {
    /// Returns the bytes that a token seals. `None` if an id or a digest is malformed, which no stored one is.
    pub fn to_bytes(&self) -> Option<[u8; LINK_BYTES]> {
        let mut bytes = [0; LINK_BYTES];
        let (session, rest) = bytes.split_at_mut(SESSION_BYTES);
        let (address, generation) = rest.split_at_mut(ADDRESS_BYTES);
        session.copy_from_slice(&self.session.to_bytes()?);
        address.copy_from_slice(&self.to.to_bytes()?);
        generation.copy_from_slice(&self.generation.0.to_be_bytes());
        Some(bytes)
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (session, rest) = bytes.split_first_chunk::<SESSION_BYTES>()?;
        let (address, rest) = rest.split_first_chunk::<ADDRESS_BYTES>()?;
        let (generation, []) = rest.split_first_chunk::<GENERATION_BYTES>()? else { return None };
        Some(Self {
            session: SessionId::from_bytes(*session),
            to: AddressDigest::from_bytes(*address),
            generation: LinkGeneration(u64::from_be_bytes(*generation)),
        })
    }

    /// Returns whether the link belongs to an invitation with links from `valid_from`. A mail may have a later generation
    /// than the list in force, if the list was rewritten while the invitation was resent.
    pub fn is_current(&self, valid_from: LinkGeneration) -> bool {
        self.generation >= valid_from
    }
}

/// Returns whether guests may enter the session at all. A link works until the window closes, also while a meeting has
/// ended that the trainer may restart.
pub fn accepts_guests(session: &Session, now: Timestamp) -> bool {
    session.status != Status::Cancelled && now < session.window_closes_at()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::testing::session;
    use crate::domain::text::Email;

    fn link() -> GuestLink {
        GuestLink {
            session: SessionId::from_bytes([7; 16]),
            to: AddressDigest::new(&Email::parse("gil@example.test").unwrap()),
            generation: LinkGeneration(1_700_000_000_000),
        }
    }

    #[test]
    fn link_is_equal_after_encoding() {
        let bytes = link().to_bytes().unwrap();
        assert_eq!(GuestLink::from_bytes(&bytes), Some(link()));
        for length in [0, 16, 48, LINK_BYTES - 1] {
            assert_eq!(GuestLink::from_bytes(&bytes[..length]), None, "{length}");
        }
        assert_eq!(GuestLink::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn link_of_an_earlier_generation_is_not_current() {
        let generation = link().generation.0;
        let cases = [(0, true), (generation, true), (generation + 1, false)];
        for (valid_from, expected) in cases {
            assert_eq!(link().is_current(LinkGeneration(valid_from)), expected, "{valid_from}");
        }
    }

    #[test]
    fn guests_enter_until_the_window_closes_or_the_class_is_cancelled() {
        let starts_at = "2026-11-21T09:00:00Z".parse().unwrap();
        let closes_at = session(starts_at, Status::Scheduled).window_closes_at();
        let second = jiff::SignedDuration::from_secs(1);
        let cases = [
            (Status::Scheduled, closes_at - second, true),
            (Status::Live, closes_at - second, true),
            (Status::Ended, closes_at - second, true),
            (Status::Cancelled, closes_at - second, false),
            (Status::Scheduled, closes_at, false),
            (Status::Live, closes_at, false),
        ];
        for (status, now, expected) in cases {
            assert_eq!(
                accepts_guests(&session(starts_at, status), now),
                expected,
                "{status:?} {now}"
            );
        }
    }
}
