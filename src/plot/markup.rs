//! Writes HTML and SVG that is well formed by construction: what is opened is closed, and text is always escaped.

use std::fmt::{Display, Write};

/// Attributes of an element, in the order in which they are written.
pub(crate) type Attributes<'a> = [(&'a str, &'a dyn Display)];

/// Markup under construction.
#[derive(Debug, Default)]
pub(crate) struct Markup {
    out: String,
    open: Vec<&'static str>,
}

impl Markup {
    /// Opens an element; [`close`](Self::close) ends it.
    pub fn open(&mut self, name: &'static str, attributes: &Attributes) {
        self.start(name, attributes);
        self.out.push('>');
        self.open.push(name);
    }

    /// Closes the element opened last.
    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            let _ = write!(self.out, "</{name}>");
        }
    }

    /// Adds text, escaped.
    pub fn text(&mut self, text: impl Display) {
        escape_into(&mut self.out, &text.to_string());
    }

    /// An element that holds nothing but text.
    pub fn element(&mut self, name: &'static str, attributes: &Attributes, text: impl Display) {
        self.open(name, attributes);
        self.text(text);
        self.close();
    }

    /// An element without content.
    pub fn leaf(&mut self, name: &'static str, attributes: &Attributes) {
        self.start(name, attributes);
        self.out.push_str("/>");
    }

    /// Content that is not to be escaped: a style sheet, a script, JSON made safe by [`json_safe`].
    pub fn raw(&mut self, content: &str) {
        self.out.push_str(content);
    }

    /// A line break in the source, for those who read it.
    pub fn line(&mut self) {
        self.out.push('\n');
    }

    /// The markup; whatever is still open is closed.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn start(&mut self, name: &str, attributes: &Attributes) {
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            let _ = write!(self.out, " {key}=\"");
            escape_into(&mut self.out, &value.to_string());
            self.out.push('"');
        }
    }
}

/// Appends `text` so that it means itself both between tags and in a quoted attribute. Control characters, which
/// HTML does not allow, become the replacement character.
fn escape_into(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

/// JSON that can stand inside a `script` element: no `</script>`, no `<!--`, and no line separators, which old
/// scripts take for the end of a line. All of these occur only inside of strings, where JSON has `\u` for them.
pub(crate) fn json_safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

/// A coordinate in SVG units, written with one decimal at most: a tenth of a pixel is finer than anyone sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        match tenths % 10 {
            0 => write!(f, "{}", tenths / 10),
            _ => write!(f, "{:.1}", tenths as f64 / 10.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_and_attributes_are_escaped() {
        let mut made = Markup::default();
        made.open("p", &[("title", &"\"><script>alert('x')</script>")]);
        made.text("a < b & \u{0} \"c\"");
        let made = made.finish();
        assert_eq!(
            made,
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\">\
             a &lt; b &amp; \u{fffd} &quot;c&quot;</p>"
        );
    }

    #[test]
    fn coordinates_are_short() {
        let cases = [(1.0, "1"), (1.04, "1"), (1.25, "1.3"), (-0.01, "0"), (-2.5, "-2.5"), (300.0, "300")];
        for (value, written) in cases {
            assert_eq!(Px(value).to_string(), written);
        }
    }

    proptest! {
        #[test]
        fn json_stays_the_same_value_and_cannot_end_its_script(text in "[a-z<>&/!\\-\"\\\\\u{2028}\u{2029}]{0,40}") {
            let safe = json_safe(&serde_json::to_string(&text).unwrap());
            let unsafe_there = safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']);
            prop_assert!(!unsafe_there);
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
