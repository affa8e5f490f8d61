//! Content lines of iCalendar: escaped, folded, ended by CRLF (RFC 5545, section 3.1).
//!
//! The crates that write calendars were weighed and left: `icalendar` gives every component, time zones included, a
//! `DTSTAMP` of the machine's clock and a random `UID`, and lets a quote end a parameter early; `calcard` brings a
//! second library of dates. What is needed of them is this file.

/// A line has at most 75 octets, its CRLF not counted, and a continuation begins with a space that counts.
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

    /// A property whose value has a form of its own: a time, a number, a word, an address.
    pub(super) fn value(&mut self, name: &str, value: &str) {
        self.with(name, &[], value);
    }

    /// A property of text (section 3.3.11).
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let mut value = String::with_capacity(text.len());
        for sign in text.chars() {
            match sign {
                '\\' | ';' | ',' => value.extend(['\\', sign]),
                '\n' => value.push_str("\\n"),
                sign if sign.is_control() && sign != '\t' => {}
                sign => value.push(sign),
            }
        }
        self.with(name, &[], &value);
    }

    /// A property with parameters.
    pub(super) fn with(&mut self, name: &str, parameters: &[(&str, &str)], value: &str) {
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

    /// Breaks the line between characters: some readers decode each line by itself, though unfolding before decoding
    /// would allow a break anywhere.
    fn fold(&mut self, line: &str) {
        let mut octets = 0;
        for sign in line.chars().filter(|sign| !matches!(sign, '\r' | '\n')) {
            if octets + sign.len_utf8() > LINE_OCTETS {
                self.0.push_str("\r\n ");
                octets = 1;
            }
            self.0.push(sign);
            octets += sign.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

/// Quoted where it has to be (section 3.2). A quote cannot be written inside: RFC 6868 has an escape for it, which
/// few readers know, so it becomes an apostrophe.
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
    fn text_is_escaped() {
        let line = written(|lines| lines.text("SUMMARY", "a\\b;c,d:e\nf\r\u{7}\t=\""));
        assert_eq!(line, "SUMMARY:a\\\\b\\;c\\,d:e\\nf\t=\"\r\n");
    }

    #[test]
    fn parameters_cannot_end_early() {
        let cn = "A \"B\"\r\nX:y;z";
        let line = written(|lines| lines.with("ORGANIZER", &[("CN", cn), ("R", "x")], "mailto:a"));
        assert_eq!(line, "ORGANIZER;CN=\"A 'B'  X:y;z\";R=x:mailto:a\r\n");
    }

    #[test]
    fn values_cannot_begin_another_line() {
        assert_eq!(written(|lines| lines.value("URL", "a\r\nX:y")), "URL:aX:y\r\n");
    }

    #[test]
    fn lines_are_folded_between_characters_and_unfold_again() {
        for sign in ["a", "é", "中", "👩‍🏫"] {
            for length in 0..200 {
                let text = sign.repeat(length);
                let folded = written(|lines| lines.text("X", &text));
                assert!(folded.ends_with("\r\n"));
                let longest = folded.split("\r\n").map(str::len).max();
                assert!(longest <= Some(LINE_OCTETS), "{length} {longest:?}");
                assert_eq!(folded.replace("\r\n ", ""), format!("X:{text}\r\n"));
            }
        }
    }
}
