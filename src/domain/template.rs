//! A mail template as its authors write it: one document per locale, a version of which is published whole.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::domain::campaign::MailClass;

/// Everything a version is made of; what `compile` reads and the store keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    pub class: MailClass,
    /// What its readers consented to.
    pub topic: String,
    /// The end of every locale's fallback chain.
    pub default_locale: String,
    /// Hosts that personalised links may lead to, besides those of the template's own links.
    #[serde(default)]
    pub link_hosts: Vec<String>,
    /// One per locale, sorted by locale.
    pub parts: Vec<Part>,
}

/// A template in one locale.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// BCP 47, as the file is named: `zh-Hans`.
    pub locale: String,
    pub subject: String,
    pub preheader: String,
    pub html: String,
    /// The text part; when empty it is made from the HTML.
    pub text: String,
    /// What `t(key)` answers.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
    /// Whether the documents are the default locale's, and only the lines and texts are its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub borrowed: bool,
    /// The file that subject, preheader and texts stand in, as far as it is known: faults point into it.
    #[serde(skip)]
    pub toml: String,
}

/// Where a link of a version leads. Sent links carry the slot, never the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub slot: u16,
    /// Empty where each member's link has its own destination, sealed in the link itself.
    pub url: String,
    /// What a report calls it.
    pub label: String,
}

impl Source {
    /// SHA-256 in hex of everything that a reader could notice.
    pub fn sha(&self) -> String {
        let json = serde_json::to_vec(self).expect("texts are JSON");
        data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, &json).as_ref())
    }

    /// The part for a member's locale: itself, else with parts cut from its end, else the default.
    pub fn part(&self, locale: &str) -> Option<&Part> {
        let find = |tag: &str| self.parts.iter().find(|part| part.locale.eq_ignore_ascii_case(tag));
        chain(locale).find_map(find).or_else(|| find(&self.default_locale))
    }
}

impl Part {
    /// The file that a document of this part stands in.
    pub fn file(&self, default_locale: &str, kind: &str) -> String {
        format!("{}.{kind}", if self.borrowed { default_locale } else { &self.locale })
    }
}

/// `zh-Hans-CN`, `zh-Hans`, `zh`.
pub fn chain(locale: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(locale), |tag| tag.rfind(['-', '_']).map(|at| &tag[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_falls_back_part_by_part() {
        assert_eq!(chain("zh-Hans-CN").collect::<Vec<_>>(), ["zh-Hans-CN", "zh-Hans", "zh"]);
        let part = |locale: &str| Part { locale: locale.into(), ..Part::default() };
        let source = Source {
            name: "t".into(),
            class: MailClass::Marketing,
            topic: "offers".into(),
            default_locale: "en".into(),
            link_hosts: Vec::new(),
            parts: vec![part("en"), part("ru"), part("zh")],
        };
        for (asked, given) in [("zh-Hans-CN", "zh"), ("RU", "ru"), ("ru_RU", "ru"), ("fr", "en"), ("", "en")] {
            assert_eq!(source.part(asked).unwrap().locale, given, "{asked}");
        }
    }
}
