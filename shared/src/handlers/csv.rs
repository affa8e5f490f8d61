//! CSV tables (RFC 4180) for spreadsheets.

use lambda_http::Request;

use crate::domain::refusal::Refusal;
use crate::http;

/// Makes Excel read the file as UTF-8. Without it, names in most scripts are garbled.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The characters that a spreadsheet treats as the start of a formula (OWASP, "CSV injection").
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The format in which a report is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    Json,
    Csv,
}

/// Returns the requested format. The query has precedence over the headers, because a link in a page cannot set
/// headers.
pub fn requested_format(request: &Request) -> Result<ReportFormat, Refusal> {
    match http::query(request, "format").as_deref() {
        Some("csv") => Ok(ReportFormat::Csv),
        Some("json") => Ok(ReportFormat::Json),
        Some(_) => Err(Refusal::field("format", "must be json or csv")),
        None if http::prefers(request, "text/csv", "application/json")? => Ok(ReportFormat::Csv),
        None => Ok(ReportFormat::Json),
    }
}

/// A CSV table under construction. Writing CSV takes two rules, quoting and line ends, so no library is needed.
#[derive(Debug)]
pub struct CsvTable<const COLUMNS: usize> {
    text: String,
}

impl<const COLUMNS: usize> CsvTable<COLUMNS> {
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

    /// Writes a cell. An apostrophe turns a possible formula into plain text.
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
    use lambda_http::Body;

    #[test]
    fn cells_are_quoted_if_needed_and_never_formulas() {
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
            let mut table = CsvTable::new(["name", "n"]);
            table.row([cell, "1"]);
            assert_eq!(table.finish(), format!("\u{feff}name,n\r\n{written},1\r\n"), "{cell:?}");
        }
    }

    #[test]
    fn csv_is_chosen_by_query_or_accept_header() {
        use lambda_http::RequestExt;
        let asked = |accept: &str, query: &str| {
            let request = ::http::Request::builder().header("accept", accept).body(Body::Empty);
            let request = request.unwrap();
            let pairs: std::collections::HashMap<String, Vec<String>> = query
                .split_once('=')
                .map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
                .into_iter()
                .collect();
            requested_format(&request.with_query_string_parameters(pairs)).ok()
        };
        let cases = [
            ("", "", Some(ReportFormat::Json)),
            ("*/*", "", Some(ReportFormat::Json)),
            ("application/json", "", Some(ReportFormat::Json)),
            ("text/csv", "", Some(ReportFormat::Csv)),
            ("Text/CSV; charset=utf-8", "", Some(ReportFormat::Csv)),
            ("application/json, text/csv;q=0.5", "", Some(ReportFormat::Json)),
            ("application/json;q=0.5, text/csv", "", Some(ReportFormat::Csv)),
            ("text/csv;q=0", "", Some(ReportFormat::Json)),
            ("", "format=csv", Some(ReportFormat::Csv)),
            ("text/csv", "format=json", Some(ReportFormat::Json)),
            ("", "format=xml", None),
        ];
        for (accept, query, expected) in cases {
            assert_eq!(asked(accept, query), expected, "{accept} {query}");
        }
    }
}
