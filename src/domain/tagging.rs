//! Which tags an event leaves on a member: rules as data, read from `tags.toml` (its comments explain every key).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::catalog::leaf;
use super::engagement::Decay;
use crate::base::text;

/// Tags that name a category start with this.
pub const INTEREST: &str = "interest:";
/// Tags that name a brand start with this.
pub const BRAND: &str = "brand:";
/// The event that a person's click in a mail counts as.
pub const MAIL_CLICK: &str = "Email Link Clicked";
/// The rules that hold without a file.
pub const DEFAULT_RULES: &str = include_str!("../../config/tags.toml");
/// Longest key of a tag, bytes.
pub const KEY_BYTES_MAX: usize = 120;
/// Most tags one event can leave: as many as there are rules.
pub const RULES_MAX: usize = 100;
const WEIGHT_MAX: f64 = 1000.0;
const HALF_LIFE_MS_MAX: i64 = 100 * 365 * 86_400_000;

/// What the rules read of an event; a field the event lacks is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fact<'a> {
    pub name: &'a str,
    /// A category's whole path.
    pub category: &'a str,
    pub brand: &'a str,
    pub sku: &'a str,
    pub link: &'a str,
    pub campaign: &'a str,
    pub topic: &'a str,
}

/// A tag that an event raises.
#[derive(Debug, Clone, PartialEq)]
pub struct Raise {
    pub key: String,
    pub weight: f64,
    pub decay: Decay,
}

/// The rules, checked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    tags: Vec<Rule>,
    /// Event name to the rules it raises and by how much.
    on: HashMap<String, Vec<(usize, f64)>>,
}

#[derive(Debug, Clone)]
struct Rule {
    key: Vec<Part>,
    decay: Decay,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Field(Field),
}

crate::text_enum! {
    /// A placeholder in the key of a tag.
    pub enum Field {
        Category = "category",
        CategoryLeaf = "category_leaf",
        CategoryTop = "category_top",
        Brand = "brand",
        Sku = "sku",
        Link = "link",
        Campaign = "campaign",
        Topic = "topic",
    }
}

impl Field {
    fn of<'a>(self, fact: &Fact<'a>) -> &'a str {
        match self {
            Field::Category => fact.category,
            Field::CategoryLeaf => leaf(fact.category),
            Field::CategoryTop => fact.category.split('/').next().unwrap_or_default(),
            Field::Brand => fact.brand,
            Field::Sku => fact.sku,
            Field::Link => fact.link,
            Field::Campaign => fact.campaign,
            Field::Topic => fact.topic,
        }
    }
}

impl Rules {
    /// The rules of `text`; `file` is what faults call it.
    ///
    /// # Errors
    /// Every fault, with its line, its field and what to write instead.
    pub fn parse(text: &str, file: &str) -> Result<Rules, Faults> {
        let document = toml::from_str::<Document>(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let fault = Fault { line, field: "TOML".into(), what: error.message().into(), fix: "mend the line".into() };
            Faults { file: file.to_owned(), faults: vec![fault] }
        })?;
        let mut reading = Reading { text, rules: Rules::default(), faults: Vec::new() };
        for tag in &document.tag {
            reading.tag(tag);
        }
        match reading.faults.is_empty() {
            true => Ok(reading.rules),
            false => Err(Faults { file: file.to_owned(), faults: reading.faults }),
        }
    }

    /// The rules of the embedded `tags.toml`.
    pub fn embedded() -> Rules {
        Rules::parse(DEFAULT_RULES, "tags.toml").expect("the embedded rules have no fault, a test sees to it")
    }

    /// The tags that `fact` raises, each key once.
    pub fn apply(&self, fact: &Fact<'_>) -> Vec<Raise> {
        let mut raised: Vec<Raise> = Vec::new();
        for (rule, weight) in self.on.get(fact.name).into_iter().flatten() {
            let rule = &self.tags[*rule];
            if let Some(key) = rule.key(fact).filter(|key| raised.iter().all(|known| known.key != *key)) {
                raised.push(Raise { key, weight: *weight, decay: rule.decay });
            }
        }
        raised
    }

    /// Whether any rule listens to events of this name.
    pub fn listens_to(&self, name: &str) -> bool {
        self.on.contains_key(name)
    }
}

impl Rule {
    /// The key for `fact`, or `None` where a placeholder has nothing to stand for.
    fn key(&self, fact: &Fact<'_>) -> Option<String> {
        let mut key = String::new();
        for part in &self.key {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Field(field) => match field.of(fact).trim() {
                    "" => return None,
                    value => key.push_str(value),
                },
            }
        }
        Some(text::clean(&key, KEY_BYTES_MAX))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    tag: Vec<Spanned<Written>>,
}

/// One `[[tag]]` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    key: Spanned<String>,
    half_life: Option<Spanned<String>>,
    ceiling: Option<Spanned<f64>>,
    #[serde(default)]
    on: BTreeMap<String, Spanned<f64>>,
}

struct Reading<'a> {
    text: &'a str,
    rules: Rules,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    fn tag(&mut self, tag: &Spanned<Written>) {
        let (at, tag) = (tag.span().start, tag.get_ref());
        let name = tag.key.get_ref();
        if self.rules.tags.len() == RULES_MAX {
            self.fault(at, "tag", format!("is more than the {RULES_MAX} that are allowed"), "merge or remove some");
        }
        let key = parts(name).unwrap_or_else(|what| {
            self.fault(tag.key.span().start, "key", format!("= {name:?} {what}"), "see the list in config/tags.toml");
            Vec::new()
        });
        if !key.is_empty() && self.rules.tags.iter().any(|rule| rule.key == key) {
            let what = format!("= {name:?} stands twice");
            self.fault(tag.key.span().start, "key", what, "keep one and move the events of the other under it");
        }
        let half_life_ms = tag.half_life.as_ref().and_then(|text| self.half_life(text));
        let ceiling = tag.ceiling.as_ref().and_then(|number| self.positive(number, "ceiling", f64::MAX));
        if tag.on.is_empty() {
            let fix = "write for example \"Product Viewed\" = 1.0 below [tag.on]";
            self.fault(at, "on", format!("of {name:?} lists no event"), fix);
        }
        for (event, weight) in &tag.on {
            if let Some(weight) = self.positive(weight, event, WEIGHT_MAX) {
                let place = self.rules.tags.len();
                self.rules.on.entry(event.clone()).or_default().push((place, weight));
            }
        }
        self.rules.tags.push(Rule { key, decay: Decay { half_life_ms, ceiling } });
    }

    fn half_life(&mut self, text: &Spanned<String>) -> Option<i64> {
        let ms = duration_ms(text.get_ref()).filter(|ms| (1000..=HALF_LIFE_MS_MAX).contains(ms));
        if ms.is_none() {
            let what = format!("= {:?} is no length of time", text.get_ref());
            let fix = "write a number and a unit from \"1s\" to \"36500d\", such as \"30d\", \"12h\" or \"90m\"";
            self.fault(text.span().start, "half_life", what, fix);
        }
        ms
    }

    fn positive(&mut self, number: &Spanned<f64>, field: &str, most: f64) -> Option<f64> {
        let value = *number.get_ref();
        if value > 0.0 && value <= most && value.is_finite() {
            return Some(value);
        }
        let fix = if most < f64::MAX { format!("above 0 and at most {most}") } else { "above 0".to_owned() };
        self.fault(number.span().start, field, format!("= {value} is out of bounds"), &format!("write a number {fix}"));
        None
    }

    fn fault(&mut self, at: usize, field: &str, what: String, fix: &str) {
        let line = line_of(self.text, at);
        self.faults.push(Fault { line, field: field.to_owned(), what, fix: fix.to_owned() });
    }
}

/// The parts of a key, or what is wrong with it as the end of a sentence.
fn parts(key: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = key.trim();
    if rest.is_empty() {
        return Err("is empty".to_owned());
    }
    if rest.len() > KEY_BYTES_MAX {
        return Err(format!("is longer than {KEY_BYTES_MAX} bytes"));
    }
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or("has a { without its }")? + open;
        let field = rest[open + 1..close].trim().parse::<Field>().map_err(|unknown| format!("has {{…}}: {unknown}"))?;
        if open > 0 {
            parts.push(Part::Text(rest[..open].to_owned()));
        }
        parts.push(Part::Field(field));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn duration_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let unit = match text[unit_at..].trim() {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    text[..unit_at].parse::<i64>().ok()?.checked_mul(unit)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// One thing wrong with the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub field: String,
    pub what: String,
    pub fix: String,
}

/// Everything wrong with the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    pub file: String,
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            let gap = if place > 0 { "\n" } else { "" };
            write!(f, "{gap}{}:{}: {} {}: {}", self.file, fault.line, fault.field, fault.what, fault.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(rules: &Rules, fact: &Fact<'_>) -> Vec<String> {
        rules.apply(fact).into_iter().map(|raise| raise.key).collect()
    }

    #[test]
    fn the_embedded_rules_make_the_default_tags() {
        let rules = Rules::embedded();
        let viewed =
            Fact { name: "Product Viewed", category: "kitchen/refrigerator", brand: "Aurelia", ..Fact::default() };
        assert_eq!(keys(&rules, &viewed), ["interest:refrigerator", "brand:Aurelia"]);
        let raise = &rules.apply(&viewed)[0];
        assert_eq!((raise.weight, raise.decay.half_life_ms), (1.0, Some(30 * 86_400_000)));
        let link = Fact { name: MAIL_CLICK, topic: "offers", ..Fact::default() };
        assert_eq!(keys(&rules, &link), ["reads:offers"], "a click on a link without a product");
        assert_eq!(keys(&rules, &Fact { name: "Cart Viewed", ..viewed }), [] as [&str; 0]);
    }

    #[test]
    fn every_fault_is_told_with_line_field_and_fix() {
        let text = "[[tag]]\nkey = \"interest:{colour}\"\nhalf_life = \"3 moons\"\nceiling = 0\n[tag.on]\n\"Product Viewed\" = -1\n[[tag]]\nkey = \"x\"\n";
        let faults = Rules::parse(text, "tags.toml").unwrap_err();
        let lines: Vec<_> = faults.faults.iter().map(|fault| (fault.line, fault.field.as_str())).collect();
        assert_eq!(lines, [(2, "key"), (3, "half_life"), (4, "ceiling"), (6, "Product Viewed"), (7, "on")]);
        let told = faults.to_string();
        assert!(told.contains("\"colour\" is none of category, category_leaf"), "{told}");
        assert!(told.contains("tags.toml:3: half_life = \"3 moons\" is no length of time: write a number"), "{told}");
    }

    #[test]
    fn what_is_no_toml_or_no_key_of_ours_is_told_with_its_line() {
        for (text, line, said) in [
            ("[[tag]]\nkey = \"a\"\nhalflife = \"3d\"", 3, "halflife"),
            ("[[tag]]\nkey = ", 2, "value"),
            ("[[tag]]\nhalf_life = \"3d\"\n", 1, "key"),
        ] {
            let faults = Rules::parse(text, "tags.toml").unwrap_err();
            assert_eq!(faults.faults[0].line, line, "{faults}");
            assert!(faults.to_string().contains(said), "{faults}");
        }
    }
}
