//! CSV tables (RFC 4180) for spreadsheets.

use lambda_http::Request;

use super::edge::ResponseBody;
use super::pages::escaped_len;
use crate::domain::refusal::Refusal;
use crate::http;

/// Makes Excel read the file as UTF-8. Without it, names in most scripts are garbled.
const BYTE_ORDER_MARK: char = '\u{feff}';

const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

/// The characters that a spreadsheet treats as the start of a formula (OWASP, "CSV injection"), also in full width.
const FORMULA_STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
/// The characters at which a spreadsheet may split a cell. It may expect another separator than the file has, and does not
/// know the quotes of a cell then.
const SPLITS: [char; 5] = [',', ';', '\t', '\r', '\n'];

/// The format in which a report is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    Json,
    Csv(Separator),
}

/// The character between the cells of a row. Spreadsheets in half of Europe expect a semicolon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Separator {
    #[default]
    Comma,
    Semicolon,
}

impl Separator {
    fn requested(request: &Request) -> Result<Self, Refusal> {
        match http::query(request, "separator").as_deref() {
            None | Some(",") => Ok(Self::Comma),
            Some(";") => Ok(Self::Semicolon),
            Some(_) => Err(Refusal::field("separator", "must be a comma or a semicolon")),
        }
    }

    fn char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
        }
    }
}

/// Returns the requested format. The query has precedence over the headers, because a link in a page cannot set
/// headers.
pub fn requested_format(request: &Request) -> Result<ReportFormat, Refusal> {
    let separator = Separator::requested(request)?;
    match http::query(request, "format").as_deref() {
        Some("csv") => Ok(ReportFormat::Csv(separator)),
        Some("json") => Ok(ReportFormat::Json),
        Some(_) => Err(Refusal::field("format", "must be json or csv")),
        None if http::prefers(request, "text/csv", "application/json")? => {
            Ok(ReportFormat::Csv(separator))
        }
        None => Ok(ReportFormat::Json),
    }
}

/// A CSV table under construction. Writing CSV takes two rules, quoting and line ends, so no library is needed.
#[derive(Debug)]
pub struct CsvTable {
    text: String,
    separator: Separator,
    /// The size of the text in a JSON string.
    size: usize,
}

impl CsvTable {
    pub fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>, separator: Separator) -> Self {
        let mut table = Self { text: BYTE_ORDER_MARK.to_string(), ..Self::later_page(separator) };
        table.row(header);
        table
    }

    /// Starts a later page of a table, without byte order mark and header, so that the pages together are one file.
    pub fn later_page(separator: Separator) -> Self {
        Self { text: String::new(), separator, size: 0 }
    }

    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let start = self.text.len();
        for (n, cell) in cells.into_iter().enumerate() {
            if n > 0 {
                self.text.push(self.separator.char());
            }
            self.cell(cell.as_ref());
        }
        self.text.push_str("\r\n");
        self.size += escaped_len(&self.text[start..]);
    }

    /// Writes a cell. An apostrophe turns a possible formula into plain text, also in the parts into which a spreadsheet
    /// with another separator would split the cell.
    fn cell(&mut self, cell: &str) {
        let is_quoted = cell.contains(['"', ',', ';', '\r', '\n']);
        if is_quoted {
            self.text.push('"');
        }
        if cell.starts_with(FORMULA_STARTS) {
            self.text.push('\'');
        }
        for (n, part) in cell.split_inclusive(SPLITS).enumerate() {
            // Spreadsheets skip spaces, and the quotes of the cell end at such a split.
            let start = part.trim_start_matches([' ', '"']);
            if n > 0 && start.starts_with(FORMULA_STARTS) && !start.starts_with(SPLITS) {
                self.text.push('\'');
            }
            self.text.push_str(&part.replace('"', "\"\""));
        }
        if is_quoted {
            self.text.push('"');
        }
    }

    /// Returns the table as a response with this file name.
    pub fn respond(self, file_name: &str) -> ResponseBody {
        ResponseBody::text(CONTENT_TYPE, self.text).with_file_name(file_name)
    }

    /// Returns the size of the table in a response.
    pub fn size(&self) -> usize {
        self.size
    }

    #[cfg(test)]
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
            ("\n=x", "\"'\n'=x\""),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("a; b", "\"a; b\""),
            ("a;=1+1", "\"a;'=1+1\""),
            ("a; \"=1+1\"", "\"a;' \"\"=1+1\"\"\""),
            ("a,-b\n@c", "\"a,'-b\n'@c\""),
            ("a\t=1", "a\t'=1"),
            ("=HYPERLINK(\"a\",\"b\")", "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\""),
            ("a=b", "a=b"),
            ("👩‍🏫 درس", "👩‍🏫 درس"),
        ];
        for (cell, written) in cases {
            for (separator, sign) in [(Separator::Comma, ','), (Separator::Semicolon, ';')] {
                let mut table = CsvTable::new(["name", "n"], separator);
                table.row([cell, "1"]);
                let file = format!("\u{feff}name{sign}n\r\n{written}{sign}1\r\n");
                assert_eq!(table.finish(), file, "{cell:?}");
            }
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
            ("text/csv", "", Some(ReportFormat::Csv(Separator::Comma))),
            ("Text/CSV; charset=utf-8", "", Some(ReportFormat::Csv(Separator::Comma))),
            ("application/json, text/csv;q=0.5", "", Some(ReportFormat::Json)),
            ("application/json;q=0.5, text/csv", "", Some(ReportFormat::Csv(Separator::Comma))),
            ("text/csv;q=0", "", Some(ReportFormat::Json)),
            ("", "format=csv", Some(ReportFormat::Csv(Separator::Comma))),
            ("text/csv", "format=json", Some(ReportFormat::Json)),
            ("", "format=xml", None),
            ("text/csv", "separator=,", Some(ReportFormat::Csv(Separator::Comma))),
            ("text/csv", "separator=;", Some(ReportFormat::Csv(Separator::Semicolon))),
            ("text/csv", "separator=|", None),
        ];
        for (accept, query, expected) in cases {
            assert_eq!(asked(accept, query), expected, "{accept} {query}");
        }
    }
}
