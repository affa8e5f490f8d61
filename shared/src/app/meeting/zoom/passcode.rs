//! Passcodes of new meetings.

use crate::random::Random;

/// Zoom: a passcode has at most 10 characters.
const PASSCODE_CHARS: usize = 10;
/// Letters and digits without characters that are easily confused when read aloud.
const PASSCODE_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// Generates a passcode with at least one letter and one digit, which accounts may require.
pub(super) fn passcode(random: &Random) -> String {
    let drawn: [u8; PASSCODE_CHARS] = random.bytes();
    let mut letters: Vec<u8> =
        drawn.iter().map(|byte| PASSCODE_ALPHABET[usize::from(byte % 32)]).collect();
    letters[0] = b'a' + drawn[0] % 8;
    letters[PASSCODE_CHARS - 1] = b'2' + drawn[PASSCODE_CHARS - 1] % 8;
    String::from_utf8_lossy(&letters).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passcode_has_a_letter_and_a_digit_and_fits_zooms_limit() {
        let random = Random::seeded(5);
        for _ in 0..200 {
            let code = passcode(&random);
            assert_eq!(code.len(), PASSCODE_CHARS);
            assert!(
                code.bytes().any(|b| b.is_ascii_digit())
                    && code.bytes().any(|b| b.is_ascii_alphabetic()),
                "{code}"
            );
        }
    }
}
