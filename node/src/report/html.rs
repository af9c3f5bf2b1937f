//! A writer of markup that cannot be left half open, and cannot be broken by what people typed.
//!
//! It does not: know a report.
//!
//! Invariants: every text and every value of an attribute is escaped; what is opened is closed in order, because an
//! element is written by a function that is given its inside; tags and names of attributes are the program's own.

/// Markup under construction.
#[derive(Debug, Default)]
pub struct Html {
    out: String,
}

impl Html {
    /// With what a page begins with, as it is.
    #[must_use]
    pub fn beginning(raw: &'static str) -> Self {
        Self { out: raw.to_owned() }
    }

    /// An element with its inside.
    pub fn el(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], inside: impl FnOnce(&mut Self)) {
        self.open(tag, attributes);
        self.out.push('>');
        inside(self);
        self.out.push_str("</");
        self.out.push_str(tag);
        self.out.push('>');
        if matches!(tag, "p" | "tr" | "table" | "section" | "h1" | "h2" | "h3" | "caption" | "thead" | "tbody" | "svg")
        {
            self.out.push('\n');
        }
    }

    /// An element with a text.
    pub fn text_el(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], text: &str) {
        self.el(tag, attributes, |h| h.text(text));
    }

    /// An element of a picture without an inside.
    pub fn shape(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(tag, attributes);
        self.out.push_str("/>");
    }

    /// An element of a page that has no inside and no end.
    pub fn void(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(tag, attributes);
        self.out.push('>');
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    /// The program's own text that is no markup of people's: a style sheet.
    pub fn raw(&mut self, text: &'static str) {
        self.out.push_str(text);
    }

    /// The markup.
    #[must_use]
    pub fn finish(self) -> String {
        self.out
    }

    fn open(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.out.push('<');
        self.out.push_str(tag);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
    }
}

/// Writes a text so that it is only ever a text; characters that steer and show nothing become spaces.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Marks that turn the direction of writing would let one cell rewrite its neighbours for the eye.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_stays_a_text() {
        let mut h = Html::default();
        let hostile = "<script>alert(\"x\")</script> & 'y' \u{202e}z\u{0}";
        h.el("p", &[("title", hostile)], |h| h.text(hostile));
        let safe = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;y&#39; z ";
        assert_eq!(h.finish(), format!("<p title=\"{safe}\">{safe}</p>\n"));
    }

    #[test]
    fn what_is_opened_is_closed() {
        let mut h = Html::default();
        h.el("ul", &[], |h| {
            h.text_el("li", &[("class", "a")], "Đảng viên");
            h.shape("rect", &[("x", "1")]);
            h.void("meta", &[]);
        });
        assert_eq!(h.finish(), "<ul><li class=\"a\">Đảng viên</li><rect x=\"1\"/><meta></ul>");
    }
}
