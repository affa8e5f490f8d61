//! Writes iCalendar content lines: escaped, folded and ended by CRLF (RFC 5545, section 3.1).
//!
//! The existing crates do not fit. `icalendar` adds a `DTSTAMP` of the system clock and a random `UID` to every
//! component, including time zones, and does not escape quotes in parameters. `calcard` depends on a second date
//! library.

/// The maximum length of a line without its CRLF. The leading space of a continuation line counts.
const LINE_OCTETS: usize = 75;

#[derive(Debug, Default)]
pub(super) struct ContentLines(String);

impl ContentLines {
    pub(super) fn begin(&mut self, component: &str) {
        self.value("BEGIN", component);
    }

    pub(super) fn end(&mut self, component: &str) {
        self.value("END", component);
    }

    /// Writes a property whose value is not escaped, such as a time, a number or an address.
    pub(super) fn value(&mut self, name: &str, value: &str) {
        self.property(name, &[], value);
    }

    /// Writes a text property (section 3.3.11).
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let mut value = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '\\' | ';' | ',' => value.extend(['\\', character]),
                '\n' => value.push_str("\\n"),
                character if character.is_control() && character != '\t' => {}
                character => value.push(character),
            }
        }
        self.property(name, &[], &value);
    }

    /// Writes a property with parameters.
    pub(super) fn property(&mut self, name: &str, parameters: &[(&str, &str)], value: &str) {
        let mut line = String::from(name);
        for (parameter, value) in parameters {
            line.extend([";", parameter, "=", &parameter_value(value)]);
        }
        line.extend([":", value]);
        self.fold(&line);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Folds the line only between characters, because some programs decode each line before unfolding.
    fn fold(&mut self, line: &str) {
        let mut octets = 0;
        for character in line.chars().filter(|character| !matches!(character, '\r' | '\n')) {
            if octets + character.len_utf8() > LINE_OCTETS {
                self.0.push_str("\r\n ");
                octets = 1;
            }
            self.0.push(character);
            octets += character.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

/// Quotes the value where necessary (section 3.2). Quotes inside become apostrophes, because few programs support the
/// escape of RFC 6868.
fn parameter_value(value: &str) -> String {
    let value = value.replace('"', "'").replace(char::is_control, " ");
    if value.contains([':', ';', ',', ' ']) { format!("\"{value}\"") } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut ContentLines)) -> String {
        let mut lines = ContentLines::default();
        write(&mut lines);
        lines.finish()
    }

    #[test]
    fn text_values_are_escaped() {
        let line = written(|lines| lines.text("SUMMARY", "a\\b;c,d:e\nf\r\u{7}\t=\""));
        assert_eq!(line, "SUMMARY:a\\\\b\\;c\\,d:e\\nf\t=\"\r\n");
    }

    #[test]
    fn quote_does_not_end_a_parameter() {
        let cn = "A \"B\"\r\nX:y;z";
        let line =
            written(|lines| lines.property("ORGANIZER", &[("CN", cn), ("R", "x")], "mailto:a"));
        assert_eq!(line, "ORGANIZER;CN=\"A 'B'  X:y;z\";R=x:mailto:a\r\n");
    }

    #[test]
    fn value_cannot_start_a_new_line() {
        assert_eq!(written(|lines| lines.value("URL", "a\r\nX:y")), "URL:aX:y\r\n");
    }

    #[test]
    fn folded_lines_break_between_characters_and_unfold() {
        for character in ["a", "é", "中", "👩‍🏫"] {
            for length in 0..200 {
                let text = character.repeat(length);
                let folded = written(|lines| lines.text("X", &text));
                assert!(folded.ends_with("\r\n"));
                let longest = folded.split("\r\n").map(str::len).max();
                assert!(longest <= Some(LINE_OCTETS), "{length} {longest:?}");
                assert_eq!(folded.replace("\r\n ", ""), format!("X:{text}\r\n"));
            }
        }
    }
}
