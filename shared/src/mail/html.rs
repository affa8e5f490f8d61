//! Renders the content as HTML: one column, one button, readable without images, without style sheets and in dark mode.
//!
//! Styles are inline, because some mail programs drop the style sheet. The style sheet only changes colours for dark
//! mode. The button has a contrast of 6.7 to 1 and all grey text at least 6.9 to 1 (WCAG 2.2, 1.4.3 requires 4.5 to 1).

use super::content::{Button, Fact, MailContent};

const HEAD: &str = r#"<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
.page { background-color: #0b1120 !important; }
.card { background-color: #1e293b !important; border-color: #334155 !important; }
.card, .ink { color: #f1f5f9 !important; }
.faint { color: #cbd5e1 !important; }
}
</style>"#;

const PAGE: &str = "margin:0;padding:24px 12px;background-color:#f1f5f9;\
    font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5;";
const CARD: &str = "max-width:560px;margin:0 auto;padding:28px 24px;background-color:#ffffff;color:#0f172a;\
    border:1px solid #e2e8f0;border-radius:12px;";
const HEADING: &str = "margin:0 0 20px;text-align:left;font-size:24px;line-height:1.3;color:#0f172a;overflow-wrap:anywhere;";
const PARAGRAPH: &str = "margin:0 0 16px;color:#0f172a;overflow-wrap:anywhere;";
const FAINT: &str = "margin:0 0 8px;font-size:14px;color:#475569;overflow-wrap:anywhere;";
const LABEL: &str = "margin:0;font-size:14px;font-weight:600;color:#475569;";
const VALUE: &str = "margin:0 0 12px;text-align:left;color:#0f172a;overflow-wrap:anywhere;";
const BUTTON: &str = "display:inline-block;padding:12px 24px;border:1px solid #1d4ed8;border-radius:8px;\
    background-color:#1d4ed8;color:#ffffff;font-weight:600;text-decoration:none;";

pub(super) fn page(content: &MailContent) -> String {
    let subject = escape(&content.subject);
    let body = [
        paragraph("ink", PARAGRAPH, &content.greeting),
        paragraph("ink", PARAGRAPH, &content.lead),
        facts(&content.facts),
        paragraph("ink", PARAGRAPH, &content.description),
        content.button.as_ref().map(button).unwrap_or_default(),
        paragraph("faint", FAINT, content.calendar_note.unwrap_or_default()),
    ];
    let foot =
        [paragraph("faint", FAINT, &content.brand), paragraph("faint", FAINT, &content.disclaimer)];
    let (heading, body, foot) = (escape(&content.heading), body.concat(), foot.concat());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n{HEAD}\n<title>{subject}</title>\n</head>\n\
         <body class=\"page\" style=\"{PAGE}\">\n\
         <main class=\"card\" style=\"{CARD}\">\n\
         <h1 class=\"ink\" dir=\"auto\" style=\"{HEADING}\">{heading}</h1>\n\
         {body}</main>\n\
         <footer style=\"max-width:560px;margin:0 auto;padding:16px 25px;\">\n{foot}</footer>\n\
         </body>\n</html>\n"
    )
}

/// Returns a paragraph in the text's own direction, or nothing for an empty text.
fn paragraph(class: &str, style: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("<p class=\"{class}\" dir=\"auto\" style=\"{style}\">{}</p>\n", escape_lines(text))
}

/// Puts each label above its value, so both can use the full width of a narrow screen.
fn facts(facts: &[Fact]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let entry = |fact: &Fact| {
        let (label, value) = (escape(fact.label), escape_lines(&fact.value));
        format!(
            "<dt class=\"faint\" style=\"{LABEL}\">{label}</dt>\n\
             <dd class=\"ink\" dir=\"auto\" style=\"{VALUE}\">{value}</dd>\n"
        )
    };
    let entries: String = facts.iter().map(entry).collect();
    format!("<dl style=\"margin:0 0 16px;\">\n{entries}</dl>\n")
}

fn button(button: &Button) -> String {
    let (label, link) = (escape(button.label), escape(&button.link));
    format!("<p style=\"margin:24px 0;\"><a href=\"{link}\" style=\"{BUTTON}\">{label}</a></p>\n")
}

fn escape_lines(text: &str) -> String {
    escape(text).replace('\n', "<br>\n")
}

/// Escapes text for an element or for a double-quoted attribute value.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_escaped() {
        let text = "<script>alert(\"1\" & '2')</script>\nb";
        let escaped = "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;<br>\nb";
        assert_eq!(escape_lines(text), escaped);
        assert_eq!(paragraph("ink", PARAGRAPH, ""), "");
    }
}
