//! Tables as CSV: RFC 4180, for the spreadsheets that people open it with.

/// Tells Excel that the file is UTF-8; without it names in most scripts are garbled.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection").
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A table under construction. Writing one is two rules, quoting and line ends, which is why there is no library here:
/// it is reading CSV that takes one.
#[derive(Debug)]
pub struct Table<const COLUMNS: usize> {
    text: String,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

    pub fn new(header: [&str; COLUMNS]) -> Self {
        let mut table = Self { text: BYTE_ORDER_MARK.to_string() };
        table.row(header);
        table
    }

    pub fn row<T: AsRef<str>>(&mut self, cells: [T; COLUMNS]) {
        for (n, cell) in cells.iter().enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            self.cell(cell.as_ref());
        }
        self.text.push_str("\r\n");
    }

    /// A cell that could be a formula is made plain text by an apostrophe, as a person would make it.
    fn cell(&mut self, cell: &str) {
        let is_quoted = cell.contains(['"', ',', '\r', '\n']);
        if is_quoted {
            self.text.push('"');
        }
        if cell.starts_with(FORMULA_STARTS) {
            self.text.push('\'');
        }
        for (n, part) in cell.split('"').enumerate() {
            if n > 0 {
                self.text.push_str("\"\"");
            }
            self.text.push_str(part);
        }
        if is_quoted {
            self.text.push('"');
        }
    }

    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_are_never_formulas() {
        let cases = [
            ("Ada", "Ada"),
            ("", ""),
            ("Lovelace, Ada", "\"Lovelace, Ada\""),
            ("the \"countess\"", "\"the \"\"countess\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-1", "'-1"),
            ("@cmd", "'@cmd"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("=HYPERLINK(\"a\",\"b\")", "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\""),
            ("a=b", "a=b"),
            ("👩‍🏫 درس", "👩‍🏫 درس"),
        ];
        for (cell, written) in cases {
            let mut table = Table::new(["name", "n"]);
            table.row([cell, "1"]);
            assert_eq!(table.finish(), format!("\u{feff}name,n\r\n{written},1\r\n"), "{cell:?}");
        }
    }
}
