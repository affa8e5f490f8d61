//! Renders the content of a mail as HTML and as plain text, with the templates `layout.html` and `layout.txt`.

use std::fmt::{self, Write};

use askama::Template;

use super::content::MailContent;
use super::texts::render;

#[derive(Template)]
#[template(path = "mail/layout.html")]
struct Html<'a> {
    content: &'a MailContent,
}

#[derive(Template)]
#[template(path = "mail/layout.txt")]
struct PlainText<'a> {
    content: &'a MailContent,
}

/// Renders the content as HTML. The templates escape every value (`askama.toml`).
pub(super) fn html(content: &MailContent) -> String {
    render(&Html { content }) + "\n"
}

/// Renders the content as plain text with LF line ends.
pub(super) fn plain_text(content: &MailContent) -> String {
    let text = render(&PlainText { content });
    // The disclaimer may be empty.
    text.trim_end().to_owned() + "\n"
}

/// Escapes text for an element or for a double-quoted attribute value, and shows its line ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct EscapeHtml;

impl askama::filters::Escaper for EscapeHtml {
    fn write_escaped_str<W: Write>(&self, mut output: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'', '\n']) {
            let (plain, special) = rest.split_at(at);
            output.write_str(plain)?;
            output.write_str(match special.as_bytes()[0] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                b'\'' => "&#39;",
                _ => "<br>\n",
            })?;
            rest = &special[1..];
        }
        output.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use askama::filters::Escaper;

    use super::*;

    #[test]
    fn markup_in_text_is_escaped() {
        let mut escaped = String::new();
        let text = "<script>alert(\"1\" & '2')</script>\nb";
        EscapeHtml.write_escaped_str(&mut escaped, text).unwrap();
        let expected = "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;<br>\nb";
        assert_eq!(escaped, expected);
    }
}
