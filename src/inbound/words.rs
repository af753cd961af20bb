//! The words returned mails are known by, read from `config/returns.toml`, and how text is folded to look for them.

use serde::Deserialize;

const BUILT_IN: &str = include_str!("../../config/returns.toml");

/// The lists of the file, whose comments explain them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub daemons: Vec<String>,
    pub subjects: Vec<String>,
    pub failures: Vec<String>,
    pub delays: Vec<String>,
    pub originals: Vec<String>,
    pub labels: Vec<String>,
    pub not_recipients: Vec<String>,
    pub auto_subjects: Vec<String>,
}

impl Words {
    pub fn built_in() -> Words {
        toml::from_str(BUILT_IN).expect("a test reads the built-in words")
    }
}

/// Whether any of `list` stands in text that was [`folded`].
pub fn any(list: &[String], text: &str) -> bool {
    list.iter().any(|word| text.contains(word.as_str()))
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
            .flatten()
        {
            assert_eq!(folded(word), *word.trim(), "{word:?} is not written as it is looked for");
        }
    }
}
