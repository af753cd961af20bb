//! What a template may not do, read off its source: reach what it must not, grow without end, lie about its fields,
//! or leave out what the law and the providers ask for.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::campaign::MailClass;
use crate::domain::template::{Part, Source};

use super::bounds::{JOINS_MAX, LOOP_DEPTH_MAX, SETS_MAX};
use super::fault::Fault;
use super::fields::{below, is_root};
use super::html::find_ignore_case;
use super::tokens::{Tag, Word, tags};

/// Statements that templates do without: they repeat, capture or reach beyond their own document.
const REFUSED: &[(&str, &str)] = &[
    ("include", "write it out, or use t() for shared texts"),
    ("extends", "write the document out"),
    ("block", "write the document out"),
    ("component", "write it out"),
    ("macro", "write it out"),
    ("import", "write it out"),
    ("set_global", "use set outside the loop"),
    ("filter", "pipe the value through the filter instead"),
];
const WORDS: &[&str] = &[
    "if", "elif", "else", "endif", "for", "endfor", "in", "set", "and", "or", "not", "is", "true", "false", "True",
    "False", "none", "None", "null", "loop", "break", "continue", "raw", "endraw",
];

/// Every fault of a source's documents. What Tera itself refuses comes on top, from `compile`.
pub fn lint(source: &Source) -> Vec<Fault> {
    source.parts.iter().flat_map(|part| lint_part(source, part)).collect()
}

/// The names of the profile attributes that a source speaks of.
pub fn attributes(source: &Source) -> BTreeSet<String> {
    let texts = source.parts.iter().flat_map(|part| [&part.subject, &part.preheader, &part.html, &part.text]);
    let mut names = BTreeSet::new();
    for tag in texts.flat_map(|text| tags(text)) {
        for window in tag.words.windows(3) {
            if let [(Word::Name("attr"), _), (Word::Sign('.'), _), (Word::Name(name), _)] = window {
                names.insert((*name).to_owned());
            }
        }
    }
    names
}

fn lint_part(source: &Source, part: &Part) -> Vec<Fault> {
    let file = |kind| part.file(&source.default_locale, kind);
    let (html, text) = (file("html"), file("txt"));
    let toml = format!("{}.toml", part.locale);
    let mut faults = Vec::new();
    for (file, body, is_line) in [
        (&toml, &part.subject, true),
        (&toml, &part.preheader, true),
        (&html, &part.html, false),
        (&text, &part.text, false),
    ] {
        let shift = if is_line { part.toml.find(body.as_str()).unwrap_or(0) } else { 0 };
        let place = if is_line && !part.toml.is_empty() { &part.toml } else { body };
        let lint = Lint { file, place, shift, texts: &part.texts };
        faults.extend(lint.document(body, is_line));
    }
    if source.class == MailClass::Marketing && !calls(&part.html, "unsubscribe_url") {
        let end = find_ignore_case(&part.html, "</body").unwrap_or(part.html.len());
        let what = "marketing mail has no unsubscribe link";
        let fix = "add <a href=\"{{ unsubscribe_url() }}\">…</a> to its foot";
        faults.push(Fault::at(&html, &part.html, end, "no_unsubscribe", what, fix));
    }
    for (element, code) in [("<script", "script"), ("<iframe", "iframe"), ("<object", "object")] {
        if let Some(at) = find_ignore_case(&part.html, element) {
            let what = format!("{element}> is cut out by every mail program");
            faults.push(Fault::at(&html, &part.html, at, code, what, "remove it"));
        }
    }
    faults
}

/// Whether a tag of `html` calls `function`.
fn calls(html: &str, function: &str) -> bool {
    tags(html).iter().any(|tag| tag.words.iter().any(|(word, _)| *word == Word::Name(function)))
}

/// One document being read.
struct Lint<'l> {
    file: &'l str,
    /// The text that positions point into, and where the document starts in it.
    place: &'l str,
    shift: usize,
    texts: &'l BTreeMap<String, String>,
}

impl Lint<'_> {
    fn document(&self, body: &str, is_line: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(at) = body.find(|c: char| c.is_control() && !c.is_whitespace()) {
            faults.push(self.fault(at, "control_character", "there is a control character", "remove it"));
        }
        let tags = tags(body);
        let mut bound: BTreeSet<&str> = BTreeSet::new();
        let (mut depth, mut joins, mut sets) = (0, 0, 0);
        for tag in &tags {
            match tag.verb() {
                "for" => {
                    depth += 1;
                    bound.extend(loop_names(tag));
                    if depth > LOOP_DEPTH_MAX {
                        let what = format!("loops stand more than {LOOP_DEPTH_MAX} deep");
                        faults.push(self.fault(tag.at, "nested_loops", what, "flatten them"));
                    }
                }
                "endfor" => depth -= 1,
                "set" => {
                    sets += 1;
                    self.set(tag, sets, &mut faults);
                    bound.extend(tag.words.get(1).and_then(|(word, _)| match word {
                        Word::Name(name) => Some(*name),
                        _ => None,
                    }));
                }
                verb => self.verb(verb, tag, &mut faults),
            }
            joins += tag.words.iter().filter(|(word, _)| *word == Word::Sign('~')).count();
            self.ranges(tag, depth, &mut faults);
            self.names(tag, &bound, is_line, &mut faults);
        }
        if joins > JOINS_MAX {
            let what = format!("~ is used {joins} times, at most {JOINS_MAX} are possible");
            faults.push(self.fault(0, "too_many_joins", what, "write the pieces one after the other"));
        }
        faults
    }

    fn fault(&self, at: usize, code: &str, what: impl Into<String>, fix: impl Into<String>) -> Fault {
        Fault::at(self.file, self.place, at + self.shift, code, what, fix)
    }

    fn verb(&self, verb: &str, tag: &Tag<'_>, faults: &mut Vec<Fault>) {
        if let Some((name, fix)) = REFUSED.iter().find(|(name, _)| *name == verb) {
            faults.push(self.fault(tag.at, "refused_tag", format!("{{% {name} %}} is not for mails"), *fix));
        }
        let comprehension = tag.words.iter().find(|(word, _)| *word == Word::Name("for"));
        if let Some((_, at)) = comprehension {
            faults.push(self.fault(*at, "comprehension", "a loop within an expression", "write a {% for %}"));
        }
        if tag.words.first().is_some_and(|(word, _)| *word == Word::Sign('<')) {
            faults.push(self.fault(tag.at, "refused_tag", "components are not for mails", "write it out"));
        }
    }

    /// A variable may hold a value, never text that is put together: text that doubles fills any memory.
    fn set(&self, tag: &Tag<'_>, sets: usize, faults: &mut Vec<Fault>) {
        if sets > SETS_MAX {
            let what = format!("set is used more than {SETS_MAX} times");
            faults.push(self.fault(tag.at, "too_many_sets", what, "leave some out"));
        }
        if !tag.has('=') {
            let what = "set without = captures what is shown";
            faults.push(self.fault(tag.at, "growing_text", what, "show the text where it belongs"));
        }
        let grows = tag.words.windows(2).find(|window| match window {
            [_, (Word::Sign('~'), _)] => true,
            [(before, _), (Word::Sign('[' | '{'), _)] => !matches!(before, Word::Name(_) | Word::Sign(']' | ')')),
            [(Word::Sign('|'), _), (Word::Name("replace" | "join" | "indent"), _)] => true,
            [_, (Word::Name("for"), _)] => true,
            _ => false,
        });
        if let Some([_, (_, at)]) = grows {
            let what = "a variable is put together from pieces and could grow without end";
            faults.push(self.fault(*at, "growing_text", what, "write the pieces where they are shown"));
        }
    }

    /// A range within a loop multiplies it.
    fn ranges(&self, tag: &Tag<'_>, depth: usize, faults: &mut Vec<Fault>) {
        let range = tag.words.iter().find(|(word, _)| *word == Word::Name("range"));
        if let (Some((_, at)), true) = (range, depth > 1) {
            let what = "a range within a loop";
            faults.push(self.fault(*at, "nested_range", what, "use one loop"));
        }
    }

    fn names(&self, tag: &Tag<'_>, bound: &BTreeSet<&str>, is_line: bool, faults: &mut Vec<Fault>) {
        for (i, (word, at)) in tag.words.iter().enumerate() {
            let Word::Name(name) = word else { continue };
            let sign = |at: Option<usize>| match at.and_then(|at| tag.words.get(at)) {
                Some((Word::Sign(sign), _)) => *sign,
                _ => ' ',
            };
            if matches!(*name, "__tera_context" | "get_env" | "env" | "self") && !bound.contains(name) {
                let fix = "see `indicia template check --fields` for what a template can use";
                faults.push(self.fault(*at, "forbidden", format!("{name} is not open to templates"), fix));
                continue;
            }
            let (before, after) = (sign(i.checked_sub(1)), sign(Some(i + 1)));
            if *name == "t" && after == '(' {
                self.text_key(tag, i, faults);
            }
            let test = matches!(i.checked_sub(1).and_then(|i| tag.words.get(i)), Some((Word::Name("is"), _)))
                || matches!(tag.words.get(i.wrapping_sub(2)..i), Some([(Word::Name("is"), _), (Word::Name("not"), _)]));
            let argument = after == '=' && sign(Some(i + 2)) != '=' && before != ' ' && matches!(before, '(' | ',');
            let verb = tag.statement && i == 0;
            if matches!(before, '.' | '|') || after == '(' || argument || test || verb || WORDS.contains(name) {
                continue;
            }
            if bound.contains(name) {
                continue;
            }
            let here = is_root(name) && !(is_line && matches!(*name, "subject" | "preheader"));
            if !here {
                let fix = "see `indicia template check --fields` for what there is";
                faults.push(self.fault(*at, "unknown_field", format!("there is no field {name}"), fix));
            } else if let Some((Word::Name(field), at)) = tag.words.get(i + 2).filter(|_| after == '.') {
                self.field(name, field, *at, faults);
            }
        }
    }

    fn field(&self, root: &str, field: &str, at: usize, faults: &mut Vec<Fault>) {
        let known = below(root);
        if !known.is_empty() && !known.contains(&field) {
            let fix = format!("{root} has {}", known.join(", "));
            faults.push(self.fault(at, "unknown_field", format!("there is no field {root}.{field}"), fix));
        }
    }

    /// `t("key")` with a literal key names a text of this locale.
    fn text_key(&self, tag: &Tag<'_>, i: usize, faults: &mut Vec<Fault>) {
        let literal = tag.words[i + 1..].iter().take(4).find_map(|(word, at)| match word {
            Word::Text(text) => Some((*text, *at)),
            _ => None,
        });
        if let Some((key, at)) = literal.filter(|(key, _)| !self.texts.contains_key(*key)) {
            let what = format!("there is no text {key:?} in this locale's [texts]");
            faults.push(self.fault(at, "unknown_text", what, "add it to the locale's .toml file"));
        }
    }
}

/// The names a `for` binds: one, or two before `in`.
fn loop_names<'s>(tag: &Tag<'s>) -> Vec<&'s str> {
    let names = tag.words[1..].iter().take_while(|(word, _)| *word != Word::Name("in"));
    names.filter_map(|(word, _)| if let Word::Name(name) = word { Some(*name) } else { None }).collect()
}
