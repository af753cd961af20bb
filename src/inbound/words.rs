//! The words returned mails are known by, read from `config/returns.toml`, and how text is folded to look for them.

use memchr::memmem::Finder;
use serde::Deserialize;

const BUILT_IN: &str = include_str!("../../config/returns.toml");

/// The lists of the file, whose comments explain them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub daemons: List,
    pub subjects: List,
    pub failures: List,
    pub delays: List,
    pub originals: List,
    pub labels: Vec<String>,
    pub not_recipients: List,
    pub auto_subjects: List,
}

/// Words to look for, each made ready once: a mail is searched for hundreds of them.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct List(Vec<Finder<'static>>);

impl From<Vec<String>> for List {
    fn from(words: Vec<String>) -> List {
        List(words.iter().map(|word| Finder::new(word.as_bytes()).into_owned()).collect())
    }
}

impl Words {
    pub fn built_in() -> Words {
        toml::from_str(BUILT_IN).expect("a test reads the built-in words")
    }
}

/// Whether any of `list` stands in text that was [`folded`].
pub fn any(list: &List, text: &str) -> bool {
    list.0.iter().any(|word| word.find(text.as_bytes()).is_some())
}

/// Lower case, every run of white space one space, typographic apostrophes plain.
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|c| if c == '’' { '\'' } else { c }).flat_map(char::to_lowercase));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_can_be_found() {
        let words = Words::built_in();
        for word in [&words.subjects, &words.failures, &words.delays, &words.originals, &words.auto_subjects]
            .into_iter()
            .flat_map(|list| &list.0)
        {
            let word = std::str::from_utf8(word.needle()).unwrap();
            assert_eq!(folded(word), *word.trim(), "{word:?} is not written as it is looked for");
        }
    }
}
