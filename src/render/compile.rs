//! From a source to something that renders: checked, its links numbered, parsed once.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tera::{ErrorKind, Tera};

use crate::domain::template::{Link, Part, Source, chain};

use super::bounds::LINKS_MAX;
use super::desk::{DeskRef, Press};
use super::fault::{Fault, place};
use super::html::{find_ignore_case, hrefs, rfind_ignore_case, tera_len, text_urls};
use super::links::{Patch, Slots, apply, back, host, mark, unescape};
use super::lint::lint;
use super::numbers::Lang;
use super::tokens::{Word, tags};
use super::{filters, functions, texts};

/// One version of a template, all its locales, ready to render on any number of threads at once.
pub struct Compiled {
    /// The row of `template_version`; 0 for what is not published.
    pub version_id: i64,
    pub source: Source,
    /// Every tracked link by slot, from 1.
    pub links: Vec<Link>,
    /// What an author should know, though it does not forbid publishing.
    pub warnings: Vec<Fault>,
    pub(super) hosts: HashSet<String>,
    pub(super) parts: Vec<Ready>,
    parsed: Tera,
    presses: Mutex<Vec<Press>>,
}

/// A part that was parsed.
pub(super) struct Ready {
    pub locale: String,
    pub lang: Lang,
    pub texts: Arc<BTreeMap<String, String>>,
    pub reasons: Arc<texts::Reasons>,
    /// Names of its templates within Tera.
    pub names: Names,
    files: [File; 4],
}

pub(super) struct Names {
    pub subject: String,
    pub preheader: String,
    pub html: String,
    pub text: String,
}

/// One of a part's templates: where its source stands, and what was replaced in it.
struct File {
    name: String,
    /// Within the template's folder.
    path: String,
    source: String,
    patches: Vec<Patch>,
    patched: String,
    /// Where in the file the source starts.
    from: usize,
}

/// Checks a source by every rule before it is published, and parses it.
///
/// # Errors
/// Every fault found, with its place and fix.
pub fn check(source: &Source) -> Result<Compiled, Vec<Fault>> {
    let faults = lint(source);
    match compile(source) {
        Ok(compiled) if faults.is_empty() => Ok(compiled),
        Ok(_) => Err(faults),
        Err(others) => Err([faults, others].concat()),
    }
}

/// Parses a source. What was published stays good when [`check`]'s rules grow: this is what renders.
///
/// # Errors
/// What Tera cannot parse, with its place.
pub fn compile(source: &Source) -> Result<Compiled, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    let mut slots = Slots::default();
    let desk = DeskRef::default();
    let mut tera = Tera::default();
    functions::register(&mut tera, &desk);
    filters::register(&mut tera, &desk);
    let mut parts = Vec::with_capacity(source.parts.len());
    for part in &source.parts {
        let ready = ready(source, part, &mut slots, &mut warnings);
        let before = faults.len();
        for file in &ready.files {
            // A text made from the HTML has the HTML's faults: one telling is enough.
            if faults.len() > before && file.name == ready.names.text && part.text.is_empty() {
                continue;
            }
            if let Err(error) = tera.add_raw_template(&file.name, &file.patched) {
                faults.push(file.fault(&error));
            }
        }
        parts.push(ready);
    }
    if slots.links.len() > LINKS_MAX {
        let what = format!("has {} links, at most {LINKS_MAX} are possible", slots.links.len());
        faults.push(Fault::of("template.toml", "too_many_links", what, "shorten the mail"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let hosts = slots.links.iter().filter_map(|link| host(&link.url)).chain(slots.hosts);
    let hosts = hosts.chain(source.link_hosts.iter().map(|host| host.to_ascii_lowercase())).collect();
    Ok(Compiled {
        version_id: 0,
        source: source.clone(),
        links: slots.links,
        warnings,
        hosts,
        parts,
        parsed: tera,
        presses: Mutex::default(),
    })
}

impl Compiled {
    /// The same, known by its row.
    pub fn of_version(mut self, version_id: i64) -> Compiled {
        self.version_id = version_id;
        self
    }

    /// The part for a member's locale.
    pub(super) fn part(&self, locale: &str) -> Option<&Ready> {
        let find = |tag: &str| self.parts.iter().find(|part| part.locale.eq_ignore_ascii_case(tag));
        chain(locale).find_map(find).or_else(|| find(&self.source.default_locale))
    }

    /// A press of this version that nobody else has.
    pub(super) fn take_press(&self) -> Press {
        let idle = self.presses.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Press::new(&self.parsed))
    }

    pub(super) fn give_back(&self, press: Press) {
        self.presses.lock().unwrap_or_else(PoisonError::into_inner).push(press);
    }
}

impl Ready {
    /// Where and why rendering failed, in the author's own file.
    pub(super) fn fault(&self, error: &tera::Error) -> Option<Fault> {
        let (ErrorKind::RenderingError(report) | ErrorKind::SyntaxError(report)) = error.kind() else { return None };
        self.files.iter().find(|file| file.name == report.filename()).map(|file| file.fault(error))
    }
}

impl File {
    fn fault(&self, error: &tera::Error) -> Fault {
        let (at, what) = match error.kind() {
            ErrorKind::RenderingError(report) | ErrorKind::SyntaxError(report) => {
                (back(&self.patches, report.span().range.start), report.message().to_owned())
            }
            _ => self.told(&error.to_string()),
        };
        let (code, fix) = match error.kind() {
            ErrorKind::SyntaxError(_) | ErrorKind::Msg(_) => ("syntax", "mend the tag"),
            _ if what.contains("not defined") || what.contains("ndefined") => {
                ("undefined", "check the name, or give a default: {{ x or \"…\" }}")
            }
            _ => ("render", "mend the template"),
        };
        let (line, column) = place(&self.source, at);
        Fault {
            file: self.path.clone(),
            line: line + self.from,
            column,
            code: code.to_owned(),
            what,
            fix: fix.to_owned(),
        }
    }
}

impl File {
    /// Place and words of an error that Tera gives as text alone: `error: WHAT`, then `--> NAME:LINE:COLUMN`.
    fn told(&self, error: &str) -> (usize, String) {
        let what = error.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let mut place = error.split(&format!("--> {}:", self.name)).nth(1).unwrap_or_default().split([':', '\n']);
        let mut number = || place.next().and_then(|digits| digits.trim().parse::<usize>().ok()).unwrap_or(1).max(1);
        let (line, column) = (number(), number());
        let start = self.patched.match_indices('\n').nth(line.wrapping_sub(2)).map_or(0, |(nl, _)| nl + 1);
        let within = self.patched[start..].char_indices().nth(column - 1).map_or(0, |(at, _)| at);
        (back(&self.patches, start + within), what)
    }
}

fn ready(source: &Source, part: &Part, slots: &mut Slots, warnings: &mut Vec<Fault>) -> Ready {
    let locale = &part.locale;
    let lang = Lang::of(locale);
    let names = Names {
        subject: format!("{locale}/subject"),
        preheader: format!("{locale}/preheader"),
        html: format!("{locale}/page.html"),
        text: format!("{locale}/text"),
    };
    let line = |name: &str, source: &str, key: &str| {
        let from = part.toml.lines().position(|line| line.trim_start().starts_with(key)).unwrap_or(0);
        File::new(name, format!("{locale}.toml"), source.to_owned(), from, positional(source))
    };
    let html_path = part.file(&source.default_locale, "html");
    let mut html = html_patches(&part.html, &html_path, slots, warnings);
    inlined(&part.html, &part.texts, true, &mut html);
    let (text, text_path) = if part.text.is_empty() {
        (super::text::from_html(&part.html), html_path.clone())
    } else {
        (part.text.clone(), part.file(&source.default_locale, "txt"))
    };
    let mut text_patches = text_patches(source, &text, lang, slots);
    inlined(&text, &part.texts, false, &mut text_patches);
    let files = [
        line(&names.subject, &part.subject, "subject"),
        line(&names.preheader, &part.preheader, "preheader"),
        File::new(&names.html, html_path, part.html.clone(), 0, html),
        File::new(&names.text, text_path, text, 0, text_patches),
    ];
    let reasons = Arc::new(texts::Reasons::new(&part.texts, lang));
    Ready { locale: locale.clone(), lang, texts: Arc::new(part.texts.clone()), reasons, names, files }
}

impl File {
    fn new(name: &str, path: String, source: String, from: usize, mut patches: Vec<Patch>) -> File {
        patches.sort_by_key(|patch| (patch.at.start, patch.at.end));
        File { name: name.to_owned(), path, patched: apply(&source, &patches), source, patches, from }
    }
}

/// Links become marks, the pixel and (where the author shows none) the preheader are put in.
fn html_patches(html: &str, path: &str, slots: &mut Slots, warnings: &mut Vec<Fault>) -> Vec<Patch> {
    let mut patches = positional(html);
    for (place, href) in hrefs(html).into_iter().enumerate() {
        let value = html[href.at.clone()].trim();
        let lower = value.get(..8).unwrap_or(value).to_ascii_lowercase();
        if href.tera {
            if !is_own_link(value) {
                slots.hosts.extend(written_host(value));
                let slot = slots.take(place, "", &href.label);
                patches.push(Patch { at: href.at.start..href.at.start, with: mark('D', usize::from(slot)) });
                patches.push(Patch { at: href.at.end..href.at.end, with: mark('E', 0) });
            }
        } else if lower.starts_with("http://") || lower.starts_with("https://") {
            let slot = slots.take(place, &unescape(value), &href.label);
            patches.push(Patch { at: href.at, with: mark('L', usize::from(slot)) });
        } else if !["mailto:", "tel:", "sms:", "#"].iter().any(|scheme| lower.starts_with(scheme)) {
            let what = format!("the link {value:?} leads nowhere from a mail");
            warnings.push(Fault::at(path, html, href.at.start, "relative_link", what, "write the whole URL"));
        }
    }
    let end = rfind_ignore_case(html, "</body").unwrap_or(html.len());
    if !html.contains("preheader") {
        let body = find_ignore_case(html, "<body").and_then(|at| html[at..].find('>').map(|close| at + close + 1));
        let with = "<div style=\"display:none;max-height:0;overflow:hidden\">{{ preheader }}</div>".to_owned();
        let body = body.unwrap_or(0);
        patches.push(Patch { at: body..body, with });
    }
    patches.push(Patch { at: end..end, with: trap() + &pixel() });
    patches
}

/// A link that no reader sees, before the pixel: who follows it is a machine. As it stands before its mark is written.
pub(super) fn trap() -> String {
    format!("<a href=\"{}\" style=\"display:none\" tabindex=\"-1\" aria-hidden=\"true\"></a>", mark('H', 0))
}

/// The picture by which an opening is noticed, as it stands before its mark is written out.
pub(super) fn pixel() -> String {
    format!(
        "<img src=\"{}\" width=\"1\" height=\"1\" alt=\"\" style=\"display:block;border:0;width:1px;height:1px\">",
        mark('O', 0)
    )
}

/// The host that the author wrote out before the first tag: personalised links may lead there.
fn written_host(value: &str) -> Option<String> {
    let written = &value[..value.find("{{").or_else(|| value.find("{%"))?];
    let (_, rest) = written.split_once("://")?;
    rest.contains(['/', '?', '#']).then(|| host(written))?
}

/// Whether an `href` is one of the addresses the house makes itself.
fn is_own_link(value: &str) -> bool {
    let inner = value.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or_default();
    let inner = inner.trim_matches('-').trim();
    ["unsubscribe_url()", "preferences_url()", "web_version_url()", "confirm_url()"].contains(&inner)
}

fn text_patches(source: &Source, text: &str, lang: Lang, slots: &mut Slots) -> Vec<Patch> {
    let mut patches = positional(text);
    for (place, (at, tera)) in text_urls(text).into_iter().enumerate() {
        if tera {
            slots.hosts.extend(written_host(&text[at.clone()]));
            let slot = slots.take(place, "", "text");
            patches.push(Patch { at: at.start..at.start, with: mark('D', usize::from(slot)) });
            patches.push(Patch { at: at.end..at.end, with: mark('E', 0) });
        } else {
            let slot = slots.take_any(place, &text[at.clone()]);
            patches.push(Patch { at, with: mark('L', usize::from(slot)) });
        }
    }
    let marketing = source.class == crate::domain::campaign::MailClass::Marketing;
    if marketing && !text.contains("unsubscribe_url") {
        let with = format!("\n\n{}: {{{{ unsubscribe_url() }}}}\n", texts::unsubscribe(lang));
        patches.push(Patch { at: text.len()..text.len(), with });
    }
    patches
}

/// A bare `{{ t("hello") }}` becomes its text, so that no mail looks it up again.
fn inlined(source: &str, texts: &BTreeMap<String, String>, html: bool, patches: &mut Vec<Patch>) {
    for tag in tags(source) {
        let key = match tag.words[..] {
            [(Word::Name("t"), _), (Word::Sign('('), _), (Word::Text(key), _), (Word::Sign(')'), _)] => key,
            _ => continue,
        };
        let Some(text) = texts.get(key).filter(|text| !tag.statement && !text.contains(['{', '\u{2}'])) else {
            continue;
        };
        let mut escaped = Vec::with_capacity(text.len());
        let written = if html { tera::escape_html(text, &mut escaped) } else { escaped.write_all(text.as_bytes()) };
        let len = tera_len(&source[tag.at..]).unwrap_or(0);
        if let (Ok(()), Ok(with)) = (written, String::from_utf8(escaped)) {
            let at = tag.at..tag.at + len;
            patches.retain(|patch| patch.at.start <= at.start || patch.at.start >= at.end);
            patches.push(Patch { at, with });
        }
    }
}

/// `t("hello")` becomes `t(key="hello")`: Tera's own functions take names only.
fn positional(text: &str) -> Vec<Patch> {
    let mut patches = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|open| at + open) {
        let Some(len) = tera_len(&text[open..]).filter(|_| !text[open..].starts_with("{#")) else {
            at = open + 1;
            continue;
        };
        let tag = &text[open..open + len];
        for (name, argument) in functions::POSITIONAL {
            for (found, _) in tag.match_indices(&format!("{name}(")) {
                let whole = !tag[..found].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
                let inside = found + name.len() + 1;
                let quoted = tag[inside..].trim_start().starts_with(['"', '\'', '`']);
                if whole && quoted {
                    patches.push(Patch { at: open + inside..open + inside, with: format!("{argument}=") });
                }
            }
        }
        at = open + len;
    }
    patches.sort_by_key(|patch| patch.at.start);
    patches
}
