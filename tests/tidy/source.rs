//! The source as the rules see it: a path, its lines, its tokens, and every path of names (`a::b::c`) in it.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What a rule found, worded so that one knows what to do.
#[derive(Debug)]
pub struct Complaint {
    pub path: String,
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// One Rust file.
#[derive(Debug)]
pub struct Source {
    /// Relative to the crate's root, with forward slashes.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

/// A token with the line it starts on. Comments are gone, a string is one `Literal`, `::` is one `Punct`.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ident,
    Punct,
    Literal,
    Open,
    Close,
}

/// A path of names as written, `use` groups spelled out: `use a::{b, c::d}` is `a::b` and `a::c::d`.
#[derive(Debug)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
    /// The modules around it, from the crate's root: what `super` and `self` start from.
    module: Vec<String>,
}

impl Named {
    /// The segments from the crate's root, if the path leads there: written with `crate`, `self` or `super`.
    pub fn rooted(&self) -> Option<Vec<String>> {
        let mut base = match self.segments[0].as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => return None,
        };
        let mut rest = &self.segments[1..];
        if self.segments[0] == "super" {
            base.pop();
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    pub fn starts_with(&self, prefix: &[&str]) -> bool {
        self.segments.len() >= prefix.len() && self.segments.iter().zip(prefix).all(|(a, b)| a == b)
    }

    pub fn ends_with(&self, suffix: &[&str]) -> bool {
        self.segments.len() >= suffix.len()
            && self.segments.iter().rev().zip(suffix.iter().rev()).all(|(a, b)| a == b)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

impl Source {
    /// # Panics
    /// When `text` is not made of Rust tokens.
    pub fn parse(path: &str, text: &str) -> Source {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Source { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    pub fn complaint(&self, line: usize, message: String) -> Complaint {
        Complaint { path: self.path.clone(), line, message }
    }

    pub fn is_under(&self, allowed: &[&str]) -> bool {
        allowed
            .iter()
            .any(|place| self.path == *place || place.ends_with('/') && self.path.starts_with(place))
    }

    /// The module that the file is, from the crate's root: `src/a/b.rs` and `src/a/b/mod.rs` are both `[a, b]`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let mut names: Vec<String> = inner.split('/').map(ToOwned::to_owned).collect();
        if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            names.pop();
        }
        names
    }

    /// Every path of two or more names, and every imported one of a single name.
    pub fn names(&self) -> Vec<Named> {
        let mut found = Vec::new();
        let mut module = self.module();
        let mut inline_ends = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            if inline_ends.last() == Some(&at) {
                inline_ends.pop();
                module.pop();
            }
            if token.is("mod") && self.kind_at(at + 2) == Some(Kind::Open) {
                module.push(self.tokens[at + 1].text.clone());
                inline_ends.push(self.close_of(at + 2));
                at += 3;
            } else if token.is("use") || token.kind == Kind::Ident {
                let imported = token.is("use");
                at = self.read_names(at + usize::from(imported), &[], imported, &module, &mut found);
            } else {
                at += 1;
            }
        }
        found
    }

    /// Reads the path, or in a `use` the tree of paths, that starts at token `at`; returns where it ends.
    fn read_names(
        &self,
        mut at: usize,
        prefix: &[String],
        imported: bool,
        module: &[String],
        found: &mut Vec<Named>,
    ) -> usize {
        if self.tokens.get(at).is_some_and(|token| token.is("::")) {
            at += 1;
        }
        let Some(token) = self.tokens.get(at) else { return at };
        let mut segments = prefix.to_vec();
        match token.kind {
            Kind::Open if imported && token.text == "{" => {
                let end = self.close_of(at);
                at += 1;
                while at < end {
                    at = self.read_names(at, prefix, true, module, found);
                    while at < end && !self.tokens[at].is(",") {
                        at += 1;
                    }
                    at += 1;
                }
                return end + 1;
            }
            Kind::Ident => segments.push(token.text.clone()),
            Kind::Punct if imported && token.text == "*" => segments.push("*".to_owned()),
            _ => return at + 1,
        }
        let goes_on = self.tokens.get(at + 1).is_some_and(|next| next.is("::"))
            && self.tokens.get(at + 2).is_some_and(|next| {
                next.kind == Kind::Ident || imported && (next.text == "{" || next.text == "*")
            });
        if goes_on {
            return self.read_names(at + 2, &segments, imported, module, found);
        }
        if imported || segments.len() > 1 {
            found.push(Named { segments, line: token.line, module: module.to_vec() });
        }
        at + 1
    }

    /// The closing brace of the item (`fn`, `impl`) that starts at token `at`; `None` for one without a body.
    pub fn body_end(&self, mut at: usize) -> Option<usize> {
        loop {
            let token = self.tokens.get(at)?;
            match token.kind {
                Kind::Open if token.text == "{" => return Some(self.close_of(at)),
                Kind::Open => at = self.close_of(at),
                Kind::Close => return None,
                Kind::Punct if token.text == ";" => return None,
                _ => {}
            }
            at += 1;
        }
    }

    pub fn kind_at(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// Where the bracket that opens at token `open` closes.
    pub fn close_of(&self, open: usize) -> usize {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        unreachable!("a token stream has its brackets in pairs")
    }
}

impl Token {
    fn new(kind: Kind, text: &str, line: usize) -> Token {
        Token { kind, text: text.to_owned(), line }
    }

    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut colon_joins = false;
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis | Delimiter::None => ("(", ")"),
                };
                tokens.push(Token::new(Kind::Open, open, line));
                flatten(group.stream(), tokens);
                tokens.push(Token::new(Kind::Close, close, group.span_close().start().line));
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && colon_joins => {
                tokens.last_mut().expect("the first colon is there").text.push(':');
                colon_joins = false;
                continue;
            }
            TokenTree::Punct(punct) => {
                tokens.push(Token::new(Kind::Punct, &punct.to_string(), line));
                colon_joins = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                continue;
            }
            TokenTree::Ident(ident) => tokens.push(Token::new(Kind::Ident, &ident.to_string(), line)),
            TokenTree::Literal(literal) => tokens.push(Token::new(Kind::Literal, &literal.to_string(), line)),
        }
        colon_joins = false;
    }
}

/// Every file of the crate's own Rust: the rivals under `benches/peers` are a workspace of their own.
///
/// They are parsed once for all rules.
pub fn load_all() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut sources = Vec::new();
        for folder in ["src", "tests", "benches", "examples"] {
            load_folder(folder, &mut sources);
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    })
}

fn load_folder(folder: &str, sources: &mut Vec<Source>) {
    if folder == "benches/peers" {
        return;
    }
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return };
    for entry in entries {
        let entry = entry.expect("a folder that opens can be read");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            load_folder(&path, sources);
        } else if path.ends_with(".rs") {
            sources.push(Source::parse(&path, &read(&path).expect("a listed file can be read")));
        }
    }
}

/// The text of a file of the crate, if there is such a file.
pub fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, text: &str) -> Vec<String> {
        Source::parse(path, text).names().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn use_groups_are_spelled_out() {
        let text = "pub use crate::{a::B, c::{self, d::*, e as f}, g}; use mio; fn x() { i::j::<k::L>(m, $crate::n!()); }";
        let expected =
            "crate::a::B crate::c::self crate::c::d::* crate::c::e crate::g mio i::j k::L crate::n";
        assert_eq!(names("src/x.rs", text).join(" "), expected);
    }

    #[test]
    fn comments_and_strings_hold_no_names() {
        assert_eq!(
            names("src/x.rs", "// a::b\n/* c::d */ /// e::f\nconst X: &str = \"g::h\";"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn super_and_self_lead_to_the_root() {
        let text = "use super::a; mod inner { use super::super::b; use self::c; } use self::d; use std::e;";
        let source = Source::parse("src/room/file.rs", text);
        let found: Vec<_> =
            source.names().iter().map(|name| name.rooted().map(|segments| segments.join("::"))).collect();
        let expected =
            [Some("room::a"), Some("room::b"), Some("room::file::inner::c"), Some("room::file::d"), None];
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn files_are_modules() {
        let module = |path| Source::parse(path, "").module().join("::");
        assert_eq!(module("src/a/b.rs"), "a::b");
        assert_eq!(module("src/a/mod.rs"), "a");
        assert_eq!(module("src/lib.rs"), "");
    }
}
