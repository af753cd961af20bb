//! The rules as data: read from `replies.toml`, every fault told with its line, and asked in their order.

use std::collections::HashMap;
use std::fmt;

use memchr::memmem::Finder;
use serde::Deserialize;
use toml::Spanned;

use super::codes::Pattern;
use super::{Judged, ReplyClass, Said, Step, TEXT_BYTES_MAX, Threshold};

/// The rules that hold without a file.
pub const BUILT_IN: &str = include_str!("../../../config/replies.toml");
/// Most phrases of a file: each is looked for in every reply that is no 250.
const PHRASES_MAX: usize = 5_000;
const DAY_MS: i64 = 86_400_000;

/// The rules, checked.
#[derive(Debug, Clone)]
pub struct Rules {
    classes: HashMap<ReplyClass, Bits>,
    providers: Vec<Provider>,
    /// What says enough by itself: `definite`, `enhanced`, `basic`.
    firm: Vec<Rule>,
    phrases: Vec<Rule>,
    fallback: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    dead: bool,
    remove: bool,
    threshold: Option<Threshold>,
}

#[derive(Debug, Clone)]
struct Provider {
    domains: Vec<String>,
    marks: Vec<Finder<'static>>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    class: ReplyClass,
    at_once: bool,
    unproved: bool,
    /// Only at this step; the inner `None` stands for "unknown".
    step: Option<Option<Step>>,
    codes: Vec<Pattern>,
    /// Codes one of which must be there too.
    with: Vec<Pattern>,
    /// Each phrase as its parts, in order, made ready to be looked for.
    any: Vec<Vec<Finder<'static>>>,
}

impl Rules {
    /// The rules of `text`; `file` is what faults call it.
    ///
    /// # Errors
    /// Every fault, with its line and what to write instead.
    pub fn parse(text: &str, file: &str) -> Result<Rules, Faults> {
        let mut reading = Reading { text, faults: Vec::new(), phrases: 0 };
        let rules = match toml::from_str::<File>(text) {
            Ok(file) => Some(reading.file(file)),
            Err(error) => {
                reading.fault(error.span().map_or(0, |span| span.start), error.message(), "mend the line");
                None
            }
        };
        match rules {
            Some(rules) if reading.faults.is_empty() => Ok(rules),
            _ => Err(Faults { file: file.to_owned(), faults: reading.faults }),
        }
    }

    /// The rules that are built in.
    pub fn built_in() -> Rules {
        Rules::parse(BUILT_IN, "replies.toml").expect("a test reads the built-in rules")
    }

    /// What a mail server's words mean.
    pub fn judge(&self, said: &Said<'_>) -> Judged {
        let (text, context) = (folded(said.text), folded(said.context));
        let (text, context) = (text.as_bytes(), context.as_bytes());
        let is_meant = |provider: &&Provider| provider.is_meant(said.domain, text);
        let of_provider = self.providers.iter().filter(is_meant).flat_map(|provider| &provider.rules);
        let mut by_text = of_provider.chain(&self.firm).chain(&self.phrases);
        let found = by_text
            .find(|rule| rule.fits(said, text))
            .or_else(|| self.phrases.iter().find(|rule| rule.fits(said, context)))
            .or_else(|| self.fallback.iter().find(|rule| rule.fits(said, text)));
        match found {
            Some(rule) if rule.unproved => self.of_class(rule.class).unproved(),
            Some(rule) => self.judged(rule.class, rule.at_once),
            None => self.of_class(ReplyClass::Other),
        }
    }

    /// What a class by itself means.
    pub fn of_class(&self, class: ReplyClass) -> Judged {
        self.judged(class, false)
    }

    fn judged(&self, class: ReplyClass, at_once: bool) -> Judged {
        let bits = self.classes.get(&class).copied().unwrap_or_default();
        let threshold = if at_once { Some(Threshold::AT_ONCE) } else { bits.threshold };
        Judged { class, dead: bits.dead, remove: bits.remove, threshold }
    }
}

impl Provider {
    fn is_meant(&self, domain: &str, text: &[u8]) -> bool {
        let own = |listed: &String| {
            domain.strip_suffix(listed.as_str()).is_some_and(|above| above.is_empty() || above.ends_with('.'))
        };
        self.domains.iter().any(own) || self.marks.iter().any(|mark| mark.find(text).is_some())
    }
}

impl Rule {
    fn fits(&self, said: &Said<'_>, text: &[u8]) -> bool {
        let has = |codes: &[Pattern]| codes.iter().any(|code| code.fits(said.code, said.enhanced));
        self.step.is_none_or(|step| step == said.step)
            && (self.with.is_empty() || has(&self.with))
            && (has(&self.codes) || self.any.iter().any(|parts| is_in(parts, text)))
    }
}

/// Whether the parts stand in the text one after the other.
fn is_in(parts: &[Finder<'static>], text: &[u8]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match part.find(rest) {
        Some(at) => {
            rest = &rest[at + part.needle().len()..];
            true
        }
        None => false,
    })
}

fn finder(text: &str) -> Finder<'static> {
    Finder::new(text.as_bytes()).into_owned()
}

/// Lower case, every run of white space one space, cut to [`TEXT_BYTES_MAX`].
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_BYTES_MAX) + 1);
    for word in text.split_whitespace() {
        out.extend(word.chars().flat_map(char::to_lowercase));
        out.push(' ');
        if out.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    out
}

/// Every fault of a file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    pub file: String,
    pub faults: Vec<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub what: String,
    pub fix: String,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, fault) in self.faults.iter().enumerate() {
            let gap = if nth == 0 { "" } else { "\n" };
            write!(f, "{gap}{}:{}: {}\n  fix: {}", self.file, fault.line, fault.what, fault.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    class: HashMap<Spanned<String>, ClassEntry>,
    #[serde(default)]
    provider: Vec<ProviderEntry>,
    #[serde(default)]
    definite: Vec<Entry>,
    #[serde(default)]
    enhanced: Vec<Entry>,
    #[serde(default)]
    basic: Vec<Entry>,
    #[serde(default)]
    phrase: Vec<Entry>,
    #[serde(default)]
    fallback: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassEntry {
    #[serde(default)]
    dead: bool,
    #[serde(default)]
    remove: bool,
    after: Option<Spanned<i64>>,
    over_days: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderEntry {
    #[expect(dead_code, reason = "the name is for whoever reads the file")]
    name: String,
    #[serde(default)]
    domains: Vec<Spanned<String>>,
    #[serde(default)]
    marks: Vec<Spanned<String>>,
    #[serde(default)]
    rule: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    class: Spanned<String>,
    #[serde(default)]
    at_once: bool,
    #[serde(default)]
    unproved: bool,
    step: Option<Spanned<String>>,
    #[serde(default)]
    codes: Vec<Spanned<Code>>,
    #[serde(default)]
    with: Vec<Spanned<Code>>,
    #[serde(default)]
    any: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Basic(u16),
    Enhanced(String),
}

struct Reading<'t> {
    text: &'t str,
    faults: Vec<Fault>,
    phrases: usize,
}

impl Reading<'_> {
    fn fault(&mut self, at: usize, what: &str, fix: &str) {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        self.faults.push(Fault { line, what: what.to_owned(), fix: fix.to_owned() });
    }

    fn file(&mut self, file: File) -> Rules {
        let mut classes = HashMap::new();
        for (name, entry) in file.class {
            let (class, bits) = (self.class(&name), self.bits(&entry));
            classes.extend(class.map(|class| (class, bits)));
        }
        let providers = file.provider.into_iter().map(|entry| Provider {
            domains: self.lower(entry.domains),
            marks: self.lower(entry.marks).iter().map(|mark| finder(mark)).collect(),
            rules: self.rules(entry.rule),
        });
        let providers = providers.collect();
        let firm =
            [file.definite, file.enhanced, file.basic].into_iter().flat_map(|entries| self.rules(entries)).collect();
        let (phrases, fallback) = (self.rules(file.phrase), self.rules(file.fallback));
        if self.phrases > PHRASES_MAX {
            self.fault(0, &format!("there are more than {PHRASES_MAX} phrases"), "keep those that are met");
        }
        Rules { classes, providers, firm, phrases, fallback }
    }

    fn bits(&mut self, entry: &ClassEntry) -> Bits {
        let days = entry.over_days.as_ref().map_or(0, |days| *days.get_ref());
        for number in [&entry.after, &entry.over_days].into_iter().flatten() {
            if !(0..=1_000).contains(number.get_ref()) {
                self.fault(number.span().start, "is out of its bounds", "write a number from 0 to 1000");
            }
        }
        let threshold = entry.after.as_ref().map(|after| Threshold { after: *after.get_ref(), over_ms: days * DAY_MS });
        Bits { dead: entry.dead, remove: entry.remove, threshold: threshold.filter(|threshold| threshold.after > 0) }
    }

    fn class(&mut self, name: &Spanned<String>) -> Option<ReplyClass> {
        let class = name.get_ref().parse();
        class.map_err(|error| self.fault(name.span().start, &format!("class {error}"), "write one of these")).ok()
    }

    fn rules(&mut self, entries: Vec<Entry>) -> Vec<Rule> {
        entries.into_iter().filter_map(|entry| self.rule(entry)).collect()
    }

    fn rule(&mut self, entry: Entry) -> Option<Rule> {
        let class = self.class(&entry.class)?;
        if entry.codes.is_empty() && entry.any.is_empty() {
            self.fault(entry.class.span().start, "the rule has neither codes nor any", "give it codes or phrases");
        }
        let (codes, with) = (self.codes(entry.codes), self.codes(entry.with));
        let any = self.lower(entry.any);
        self.phrases += any.len();
        let any = any.iter().map(|phrase| phrase.split(" ... ").map(finder).collect()).collect();
        let step = entry.step.and_then(|name| self.step(&name));
        Some(Rule { class, at_once: entry.at_once, unproved: entry.unproved, step, codes, with, any })
    }

    fn step(&mut self, name: &Spanned<String>) -> Option<Option<Step>> {
        match name.get_ref().as_str() {
            "unknown" => Some(None),
            step => match step.parse() {
                Ok(step) => Some(Some(step)),
                Err(error) => {
                    self.fault(name.span().start, &format!("step {error}, unknown"), "write one of these");
                    None
                }
            },
        }
    }

    fn codes(&mut self, written: Vec<Spanned<Code>>) -> Vec<Pattern> {
        let mut codes = Vec::new();
        for code in written {
            let at = code.span().start;
            let pattern = match code.into_inner() {
                Code::Basic(basic) => (200..=599).contains(&basic).then_some(Pattern::Basic(basic)),
                Code::Enhanced(text) => Pattern::parse(&text),
            };
            match pattern {
                Some(pattern) => codes.push(pattern),
                None => self.fault(at, "is no code", "write 550, \"5.1.1\", \"*.1.1\", \"5.7.*\" or \"5.7.606-649\""),
            }
        }
        codes
    }

    /// Texts that are looked for in folded text: they must be folded themselves.
    fn lower(&mut self, texts: Vec<Spanned<String>>) -> Vec<String> {
        let mut out = Vec::with_capacity(texts.len());
        for text in texts {
            let at = text.span().start;
            let text = text.into_inner();
            let is_folded = text.to_lowercase() == text && !text.contains("  ") && !text.contains(['\t', '\n']);
            if text.trim().len() < 2 || !is_folded {
                let what = format!("{text:?} can never be found");
                self.fault(at, &what, "write it in lower case with single spaces, two letters at least");
            }
            out.push(text);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bounce::read_enhanced;

    fn judge(domain: &str, reply: &str) -> Judged {
        let (code, rest) = reply.split_once(' ').unwrap_or((reply, ""));
        let enhanced = read_enhanced(rest);
        Rules::built_in().judge(&Said {
            domain,
            code: code.parse().ok(),
            enhanced,
            text: rest,
            step: Some(Step::Rcpt),
            context: "",
        })
    }

    #[test]
    fn replies_have_the_class_their_order_gives_them() {
        use ReplyClass as C;
        for (domain, reply, class) in [
            ("x.example", "550 5.1.1 <a@x.example>: no such user", C::InvalidAddress),
            ("x.example", "550 User unknown", C::InvalidAddress),
            ("x.example", "550 запрошенный ящик не существует", C::InvalidAddress),
            ("x.example", "556 5.1.10 the domain takes no mail", C::InvalidDomain),
            ("x.example", "550 5.2.1 the mailbox is disabled", C::MailboxDisabled),
            ("gmail.com", "550 5.2.1 The user is receiving mail at a rate that prevents", C::RateLimited),
            ("x.example", "550-5.2.1 receiving mail at a rate that prevents more - gsmtp", C::RateLimited),
            ("gmail.com", "552 5.2.2 The inbox is out of storage space and inactive", C::MailboxDisabled),
            ("x.example", "552 5.2.2 over quota", C::MailboxFull),
            ("vip.qq.com", "550 Sender frequency limited", C::RateLimited),
            ("163.com", "550 RP:ORQ 163 smtp", C::RateLimited),
            ("163.com", "554 DT:SPM 126 smtp", C::Spam),
            ("gmail.com", "550 5.7.1 this message is likely unsolicited mail", C::Spam),
            ("hotmail.com", "550 5.7.515 Access denied, sending domain", C::Auth),
            ("x.example", "550 5.7.1 Relaying denied", C::Policy),
            ("x.example", "451 4.7.1 greylisted, try again later", C::RemoteSystem),
            ("x.example", "554 5.7.1 client blocked using zen.spamhaus.org", C::Block),
            ("x.example", "552 5.3.4 too big", C::Message),
            ("x.example", "450 4.4.7 expired", C::Expired),
            ("x.example", "550 mystery", C::Other),
        ] {
            assert_eq!(judge(domain, reply).class, class, "{domain}: {reply}");
        }
    }

    #[test]
    fn who_is_not_known_depends_on_when_it_was_said() {
        let said = |step| Said { code: Some(550), text: "550 User unknown", step, ..Said::default() };
        let judged = |step| Rules::built_in().judge(&said(step));
        assert!(judged(Some(Step::Rcpt)).dead);
        for step in [Some(Step::Data), None] {
            assert_eq!((judged(step).class, judged(step).dead), (ReplyClass::RecipientFiltered, false), "{step:?}");
        }
        assert_eq!(judged(Some(Step::Before)).class, ReplyClass::Policy);
        let words = Rules::built_in().judge(&Said { text: "Unknown user: anna", ..Said::default() });
        assert_eq!((words.class, words.dead, words.threshold.unwrap().after), (ReplyClass::InvalidAddress, false, 2));
    }

    #[test]
    fn thresholds_say_when_an_address_leaves() {
        let dead = judge("x.example", "550 5.1.1 no such user");
        assert!(dead.dead && dead.threshold == Some(Threshold::AT_ONCE));
        let null_mx = judge("x.example", "556 5.1.10 null mx");
        assert!(null_mx.dead && null_mx.threshold == Some(Threshold::AT_ONCE));
        let full = judge("x.example", "552 5.2.2 full").threshold.unwrap();
        assert!(
            !full.is_reached(5, 0, 29 * DAY_MS)
                && full.is_reached(5, 0, 30 * DAY_MS)
                && !full.is_reached(4, 0, i64::MAX)
        );
        assert_eq!(judge("x.example", "550 5.7.1 spam").threshold, None);
    }

    #[test]
    fn every_fault_of_a_file_is_told_with_its_line() {
        let text = "[class.nosuch]\ndead = true\n[[phrase]]\nclass = \"other\"\nany = [\"Upper\"]\n[[enhanced]]\nclass = \"x\"\ncodes = [\"5.1.1\"]\n[[basic]]\nclass = \"other\"\ncodes = [99, \"5.1\"]\n";
        let told = Rules::parse(text, "r.toml").unwrap_err().to_string();
        for part in ["r.toml:1: class", "r.toml:5: \"Upper\"", "r.toml:7: class", "r.toml:11: is no code"] {
            assert!(told.contains(part), "{told} should name {part}");
        }
        assert!(Rules::parse("[[phrase]]\nclass = 3", "r.toml").unwrap_err().to_string().starts_with("r.toml:2"));
    }
}
