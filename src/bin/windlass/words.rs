//! Command lines as text: the one that repeats a run, quoted so that a shell reads it back.

/// The command line that started this process, as one would type it again.
pub fn own_command() -> String {
    let args = std::env::args_os().skip(1).map(|arg| quoted(&arg.to_string_lossy()));
    std::iter::once("windlass".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

/// One word of a command line, in quotes if a shell would read it differently without.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The words of a text as a shell parts them: by spaces, except inside quotes and behind a backslash; `None` if a quote
/// has no end.
pub fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            None if c == '\\' => word.get_or_insert_default().extend(chars.next()),
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("--slo=p99.9=1ms"), "--slo=p99.9=1ms");
        assert_eq!(quoted("1k..50k"), "1k..50k");
        assert_eq!(quoted("Accept: */*"), "'Accept: */*'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn texts_split_into_words() {
        let words = |text| split(text).unwrap();
        assert_eq!(words("  LPUSH __key__  'a b' \"\" c'd'e"), ["LPUSH", "__key__", "a b", "", "cde"]);
        assert!(words("  ").is_empty());
        assert_eq!(words(&quoted("it's \"so\"")), ["it's \"so\""], "what is quoted reads back");
        assert_eq!(split("GET 'a"), None);
    }
}
