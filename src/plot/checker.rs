//! Reads pages back for tests: strict about what is opened and closed, unlike browsers.

use std::collections::HashSet;

/// One element of a page.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// Everything between the tags, markup included.
    pub inner: String,
    /// Names of the elements around it, outermost first.
    pub around: Vec<String>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All elements of a page in the order in which they end. Panics with the place where the page is not well formed.
pub(crate) fn elements(page: &str) -> Vec<Element> {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open: Vec<(Element, usize)> = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = body[at..].find('<') {
        let raw = open.last().is_some_and(|(element, _)| matches!(element.name.as_str(), "script" | "style"));
        let text = &body[at..at + next];
        assert!(raw || !text.contains('>'), "stray > in {text:?}");
        assert!(raw || is_escaped(text), "bare ampersand in {text:?}");
        at += next;
        let rest = &body[at..];
        if raw && !["</script>", "</style>"].iter().any(|end| rest.starts_with(end)) {
            at += 1;
            continue;
        }
        let end = at + rest.find('>').expect("a tag that ends");
        let tag = &body[at + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            let (mut element, from) = open.pop().unwrap_or_else(|| panic!("</{name}> closes nothing"));
            assert_eq!(element.name, name, "closed at {:?}", &body[at.saturating_sub(80)..end]);
            element.inner = body[from..at].to_owned();
            found.push(element);
        } else {
            let around = open.iter().map(|(element, _)| element.name.clone()).collect();
            let element = opened(tag.strip_suffix('/').unwrap_or(tag), around);
            if tag.ends_with('/') { found.push(element) } else { open.push((element, end + 1)) }
        }
        at = end + 1;
    }
    let left: Vec<_> = open.iter().map(|(element, _)| &element.name).collect();
    assert!(left.is_empty(), "never closed: {left:?}");
    found
}

/// Whether every ampersand begins one of the five escapes.
fn is_escaped(text: &str) -> bool {
    let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
    text.match_indices('&').all(|(at, _)| known.iter().any(|escape| text[at..].starts_with(escape)))
}

fn opened(tag: &str, around: Vec<String>) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "odd element name {name:?}");
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.is_empty() {
        let (key, after) =
            rest.split_once("=\"").unwrap_or_else(|| panic!("attribute without value in {tag:?}"));
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("unquoted attribute in {tag:?}"));
        assert!(
            key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "odd attribute {key:?} in {tag:?}"
        );
        assert!(is_escaped(value) && !value.contains('<'), "bare character in {tag:?}");
        assert!(attributes.iter().all(|(known, _)| known != key), "attribute twice in {tag:?}");
        attributes.push((key.to_owned(), value.to_owned()));
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Element { name: name.to_owned(), attributes, inner: String::new(), around }
}

/// What holds for every page; returns its elements.
pub(crate) fn checked(page: &str) -> Vec<Element> {
    let all = elements(page);
    let mut ids = HashSet::new();
    for element in &all {
        if let Some(id) = element.attribute("id") {
            assert!(ids.insert(id.to_owned()), "id {id} twice");
        }
        for loads in ["src", "href", "xlink:href", "data", "action", "srcset", "poster"] {
            assert!(element.attribute(loads).is_none(), "{} loads something", element.name);
        }
        for (key, value) in &element.attributes {
            assert!(!key.starts_with("on"), "{key} of {}", element.name);
            for broken in ["NaN", "inf", "-inf"] {
                assert!(key != "d" || !value.contains(broken), "{broken} in a path");
                assert!(!["x", "y", "width", "height"].contains(&key.as_str()) || value != broken);
            }
        }
        if element.name == "svg" {
            check_drawing(element);
        }
    }
    for figure in all.iter().filter(|element| element.name == "figure") {
        let id = figure.attribute("id").expect("an id");
        for part in ["How to read:", "<details>", "<table>", "Save as PNG", "class=\"axis\""] {
            assert!(figure.inner.contains(part), "plot {id} lacks {part}");
        }
    }
    // Labels and descriptions lead somewhere.
    for element in &all {
        let led = [element.attribute("for"), element.attribute("aria-labelledby")].into_iter().flatten();
        for id in led.flat_map(str::split_whitespace) {
            assert!(ids.contains(id), "{id} is not there");
        }
    }
    all
}

fn check_drawing(svg: &Element) {
    let parts = elements(&format!("<!DOCTYPE html>\n<svg>{}</svg>", svg.inner));
    let of = |name: &str| {
        let found = parts.iter().find(|part| part.name == name && part.around.len() == 1);
        found.unwrap_or_else(|| panic!("a drawing without {name}")).inner.clone()
    };
    assert!(!of("title").is_empty() && of("desc").len() > 20);
    assert_eq!((svg.attribute("role"), svg.attribute("tabindex")), (Some("img"), Some("0")));
    let view: Vec<f64> = svg.attribute("viewBox").unwrap().split(' ').map(|it| it.parse().unwrap()).collect();
    for part in &parts {
        let place = |name| part.attribute(name).and_then(|value| value.parse::<f64>().ok());
        assert!(place("x").is_none_or(|x| (0.0..=view[2]).contains(&x)), "{part:?} outside of {view:?}");
        assert!(place("y").is_none_or(|y| (0.0..=view[3]).contains(&y)), "{part:?} outside of {view:?}");
        assert!(place("width").is_none_or(|width| width >= 0.0), "{part:?}");
    }
}
