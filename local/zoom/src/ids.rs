//! Generated ids, tokens and passcodes in the forms that are hardest for a client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::random::Random;

use super::settings::UuidForm;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Long enough to be unique, short enough to read.
const USER_ID_LENGTH: usize = 22;
const TOKEN_LENGTH: usize = 60;
const PASSCODE_LENGTH: usize = 6;
const PLAY_PASSCODE_LENGTH: usize = 32;

/// Returns `length` random letters and digits.
pub(super) fn text(random: &Random, length: usize) -> String {
    (0..length)
        .map(|_| char::from(LETTERS[usize::from(random.bytes::<1>()[0]) % LETTERS.len()]))
        .collect()
}

pub(super) fn user_id(random: &Random) -> String {
    text(random, USER_ID_LENGTH)
}

pub(super) fn token(random: &Random) -> String {
    text(random, TOKEN_LENGTH)
}

pub(super) fn passcode(random: &Random) -> String {
    text(random, PASSCODE_LENGTH)
}

/// Returns the token with which a recording's URL opens without a password.
pub(super) fn play_passcode(random: &Random) -> String {
    text(random, PLAY_PASSCODE_LENGTH)
}

/// Returns a meeting id with eleven digits, which does not fit into 32 bits. Zoom: ids are int64 and can exceed ten
/// digits.
pub(super) fn meeting_id(random: &Random) -> i64 {
    const MIN: u64 = 10_000_000_000;
    i64::try_from(MIN + random.below(9 * MIN)).unwrap_or(i64::MAX)
}

/// Returns the UUID of a meeting instance: 16 bytes in standard base64. Without a form, a quarter starts with `/` and a
/// quarter contains `//`, because these break URL paths.
pub(super) fn meeting_uuid(random: &Random, form: Option<UuidForm>) -> String {
    let mut bytes = random.bytes::<16>();
    let drawn = match random.below(4) {
        0 => UuidForm::LeadingSlash,
        1 => UuidForm::DoubleSlash,
        _ => UuidForm::Plain,
    };
    match form.unwrap_or(drawn) {
        // Six set bits are one `/`, twelve set bits are two.
        UuidForm::LeadingSlash => bytes[0] |= 0b1111_1100,
        UuidForm::DoubleSlash => {
            bytes[6] = 0xFF;
            bytes[7] |= 0xF0;
        }
        UuidForm::Plain => {}
    }
    STANDARD.encode(bytes)
}

/// Returns a client's number within a room. It changes with each room move.
pub(super) fn room_number(random: &Random) -> String {
    (16_000_000 + random.below(16_000_000)).to_string()
}

/// Returns a recording file's id, a version 4 UUID.
pub(super) fn file_id(random: &Random) -> String {
    let mut bytes = random.bytes::<16>();
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_uuids_contain_slashes() {
        let random = Random::seeded(1);
        let uuids: Vec<_> = (0..400).map(|_| meeting_uuid(&random, None)).collect();
        assert!(uuids.iter().all(|uuid| uuid.len() == 24 && uuid.ends_with("==")));
        assert!(uuids.iter().filter(|uuid| uuid.starts_with('/')).count() > 50);
        assert!(uuids.iter().filter(|uuid| uuid.contains("//")).count() > 50);
        assert!(uuids.iter().filter(|uuid| !uuid.contains('/')).count() > 50);
    }

    #[test]
    fn meeting_ids_have_eleven_digits() {
        let random = Random::seeded(2);
        assert!((0..100).all(|_| meeting_id(&random).to_string().len() == 11));
    }
}
