//! A template's folder, read: `template.toml` and for each locale `<locale>.html`, `<locale>.toml`, `<locale>.txt`.
//! A locale that has only its `.toml` borrows the default locale's documents.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::campaign::MailClass;
use crate::domain::template::{Part, Source};

use super::bounds::{PARTS_MAX, SOURCE_BYTES_MAX};
use super::fault::Fault;

/// `template.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateFile {
    class: MailClass,
    topic: String,
    default_locale: String,
    #[serde(default)]
    link_hosts: Vec<String>,
}

/// `<locale>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LocaleFile {
    subject: String,
    #[serde(default)]
    preheader: String,
    #[serde(default)]
    texts: BTreeMap<String, String>,
}

/// The source that `files`, by their names within the folder `name`, make.
///
/// # Errors
/// Every fault of the folder's own: what the documents say is judged later.
pub fn from_files(name: &str, files: &BTreeMap<String, String>) -> Result<Source, Vec<Fault>> {
    let mut faults = Vec::new();
    if name.is_empty() || name.len() > 100 || !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        let what = format!("the folder's name {name:?} is no template name");
        faults.push(Fault::of("template.toml", "name", what, "use letters, digits, - and _"));
    }
    let head: Option<TemplateFile> = read(files, "template.toml", &mut faults);
    let mut parts = Vec::new();
    for (file, html) in files {
        too_long(file, html, &mut faults);
        let Some((locale, kind)) = file.rsplit_once('.') else { continue };
        match kind {
            "html" => parts.extend(part(locale, html, files, &mut faults)),
            "mjml" => faults.push(Fault::of(file, "mjml", "MJML is not compiled yet", "give the HTML it makes")),
            "txt" if !files.contains_key(&format!("{locale}.html")) => {
                let what = format!("there is no {locale}.html beside it");
                faults.push(Fault::of(file, "no_html", what, "add it, or remove this file"));
            }
            _ => {}
        }
    }
    if let Some(head) = &head {
        parts.extend(borrowed(&head.default_locale, files, &mut faults));
        parts.sort_by(|a: &Part, b: &Part| a.locale.cmp(&b.locale));
        judge_head(head, &parts, &mut faults);
    }
    match head {
        Some(head) if faults.is_empty() => Ok(Source {
            name: name.to_owned(),
            class: head.class,
            topic: head.topic,
            default_locale: head.default_locale,
            link_hosts: head.link_hosts,
            parts,
        }),
        _ => Err(faults),
    }
}

fn judge_head(head: &TemplateFile, parts: &[Part], faults: &mut Vec<Fault>) {
    let file = "template.toml";
    if parts.is_empty() {
        faults.push(Fault::of(file, "no_parts", "there is no <locale>.html beside it", "add one, as en.html"));
    } else if !parts.iter().any(|part| part.locale == head.default_locale) {
        let what = format!("default_locale is {:?} and there is no {0}.html", head.default_locale);
        faults.push(Fault::of(file, "default_locale", what, "name a locale that has a file"));
    }
    if parts.len() > PARTS_MAX {
        let what = format!("there are {} locales, at most {PARTS_MAX} are possible", parts.len());
        faults.push(Fault::of(file, "too_many_locales", what, "leave some out"));
    }
    if head.topic.trim().is_empty() && head.class == MailClass::Marketing {
        let fix = "name what its readers consented to, as topic = \"offers\"";
        faults.push(Fault::of(file, "topic", "marketing mail has no topic", fix));
    }
}

/// The locales that have lines and texts of their own, and the default's documents.
fn borrowed(default: &str, files: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Vec<Part> {
    let Some(html) = files.get(&format!("{default}.html")) else { return Vec::new() };
    let alone = |locale: &&str| *locale != "template" && !files.contains_key(&format!("{locale}.html"));
    let locales: Vec<&str> = files.keys().filter_map(|file| file.strip_suffix(".toml")).filter(alone).collect();
    let text = files.get(&format!("{default}.txt"));
    let with_text = |part: Part| Part { text: text.cloned().unwrap_or_default(), borrowed: true, ..part };
    locales.into_iter().filter_map(|locale| part(locale, html, files, faults).map(with_text)).collect()
}

fn part(locale: &str, html: &str, files: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Option<Part> {
    let toml = format!("{locale}.toml");
    let lines: LocaleFile = read(files, &toml, faults)?;
    if lines.subject.trim().is_empty() {
        faults.push(Fault::of(&toml, "no_subject", "the subject is empty", "write one"));
    }
    Some(Part {
        locale: locale.to_owned(),
        subject: lines.subject,
        preheader: lines.preheader,
        html: html.to_owned(),
        text: files.get(&format!("{locale}.txt")).cloned().unwrap_or_default(),
        texts: lines.texts,
        borrowed: false,
        toml: files.get(&toml).cloned().unwrap_or_default(),
    })
}

fn read<T: DeserializeOwned>(files: &BTreeMap<String, String>, file: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let Some(text) = files.get(file) else {
        let fix = if file == "template.toml" {
            "add it with class, topic and default_locale"
        } else {
            "add it with subject and preheader"
        };
        faults.push(Fault::of(file, "missing", "there is no such file", fix));
        return None;
    };
    match toml::from_str(text) {
        Ok(read) => Some(read),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            faults.push(Fault::at(file, text, at, "toml", error.message().replace('\n', " "), "mend the entry"));
            None
        }
    }
}

fn too_long(file: &str, text: &str, faults: &mut Vec<Fault>) {
    if text.len() > SOURCE_BYTES_MAX {
        let what = format!("is {} bytes long, at most {SOURCE_BYTES_MAX} are possible", text.len());
        faults.push(Fault::of(file, "too_long", what, "shorten it"));
    }
}
