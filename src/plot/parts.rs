//! What pages are made of: the document around them, figures with all that belongs to them, tables.

use super::chart::{NARROW, WIDE};
use super::figure::{Figure, Plot, Table};
use super::markup::Markup;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Forbids browsers to load anything, whatever a hostile name may have smuggled into the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:";

/// A whole document. `content` writes what stands in `main`.
pub(crate) fn document(title: &str, content: impl FnOnce(&mut Markup)) -> String {
    let mut out = Markup::default();
    out.raw("<!DOCTYPE html>\n");
    out.open("html", &[("lang", &"en")]);
    out.open("head", &[]);
    out.leaf("meta", &[("charset", &"utf-8")]);
    out.leaf("meta", &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")]);
    out.leaf("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
    out.leaf("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &POLICY)]);
    out.element("title", &[], title);
    out.open("style", &[]);
    out.raw(STYLE);
    out.close();
    out.close();
    out.open("body", &[]);
    theme_switch(&mut out);
    out.open("main", &[]);
    content(&mut out);
    out.close();
    out.open("script", &[]);
    out.raw(SCRIPT);
    out.finish()
}

/// Three radio buttons that work by style sheet alone.
fn theme_switch(out: &mut Markup) {
    out.open("fieldset", &[("class", &"switch theme")]);
    out.element("legend", &[], "Theme");
    radio(out, "theme", "theme-auto", "auto", "", true);
    radio(out, "theme", "theme-light", "light", "", false);
    radio(out, "theme", "theme-dark", "dark", "", false);
    out.close();
    out.line();
}

fn radio(out: &mut Markup, group: &str, id: &str, label: &str, class: &str, checked: bool) {
    let mut attributes: Vec<(&str, &dyn std::fmt::Display)> =
        vec![("type", &"radio"), ("name", &group), ("id", &id), ("class", &class)];
    if checked {
        attributes.push(("checked", &""));
    }
    out.leaf("input", &attributes);
    out.element("label", &[("for", &id)], label);
}

/// A section with a heading.
pub(crate) fn section(out: &mut Markup, title: &str, content: impl FnOnce(&mut Markup)) {
    out.line();
    out.open("section", &[]);
    out.element("h2", &[], title);
    content(out);
    out.close();
}

/// A plot with its line on how to read it, its data, and the command that repeats the run; or why it is missing.
pub(crate) fn figure(out: &mut Markup, figure: &Figure, command: &str) {
    out.line();
    match figure {
        Figure::Absent { title, why } => {
            out.open("div", &[("class", &"absent")]);
            out.element("h3", &[], title);
            out.element("p", &[], why);
            out.close();
        }
        Figure::Plot(plot) => draw_plot(out, plot, command),
    }
}

fn draw_plot(out: &mut Markup, plot: &Plot, command: &str) {
    out.open("figure", &[("id", &plot.id)]);
    out.open("figcaption", &[]);
    out.element("h3", &[], &plot.title);
    out.open("p", &[("class", &"read")]);
    out.element("b", &[], "How to read:");
    out.text(format!(" {}", plot.read));
    out.close();
    out.close();
    if plot.views.len() > 1 {
        for (index, (name, _)) in plot.views.iter().enumerate() {
            let (group, id) = (format!("{}-view", plot.id), format!("{}-view-{index}", plot.id));
            radio(out, &group, &id, name, &format!("pick{index}"), index == 0);
        }
    }
    for (index, (name, chart)) in plot.views.iter().enumerate() {
        let class = if plot.views.len() > 1 { format!("view view{index}") } else { "view only".to_owned() };
        out.open("div", &[("class", &class)]);
        for size in [WIDE, NARROW] {
            let id = format!("{}-{index}-{}", plot.id, size.class);
            let title = if name.is_empty() { plot.title.clone() } else { format!("{} ({name})", plot.title) };
            chart.draw(out, size, &id, &title, &plot.describe);
        }
        out.close();
    }
    for note in &plot.notes {
        out.element("p", &[("class", &"remark")], note);
    }
    out.open("div", &[("class", &"tools")]);
    out.element("button", &[("type", &"button"), ("class", &"save"), ("hidden", &"")], "Save as PNG");
    if !command.is_empty() {
        out.open("span", &[("class", &"repeat"), ("title", &command)]);
        out.text("Repeat with ");
        out.element("code", &[], command);
        out.close();
    }
    out.close();
    out.open("details", &[]);
    out.element("summary", &[], format!("Data of “{}”", plot.title));
    out.open(
        "div",
        &[("class", &"scroll"), ("tabindex", &"0"), ("role", &"region"), ("aria-label", &plot.title)],
    );
    table(out, &plot.table, &plot.title);
    out.close();
    out.close();
    out.close();
}

/// A table whose first column names its rows.
pub(crate) fn table(out: &mut Markup, table: &Table, caption: &str) {
    out.open("table", &[]);
    out.element("caption", &[], caption);
    out.open("thead", &[]);
    out.open("tr", &[]);
    for name in &table.head {
        out.element("th", &[("scope", &"col")], name);
    }
    out.close();
    out.close();
    out.open("tbody", &[]);
    for row in &table.rows {
        out.open("tr", &[]);
        for (index, cell) in row.iter().enumerate() {
            match index {
                0 => out.element("th", &[("scope", &"row")], cell),
                _ => out.element("td", &[], cell),
            }
        }
        out.close();
        out.line();
    }
    out.close();
    out.close();
}

/// Names and values, one pair a line.
pub(crate) fn pairs(out: &mut Markup, pairs: &[(&str, String)]) {
    out.open("dl", &[]);
    for (name, value) in pairs {
        out.open("div", &[]);
        out.element("dt", &[], name);
        out.element("dd", &[], value);
        out.close();
    }
    out.close();
}

/// A line of a list of verdicts: a word in a badge, and a sentence.
pub(crate) fn verdict(out: &mut Markup, tone: &str, badge: &str, sentence: &str) {
    out.open("li", &[("class", &tone)]);
    out.element("strong", &[("class", &"badge")], badge);
    out.text(" ");
    out.element("span", &[], sentence);
    out.close();
    out.line();
}
