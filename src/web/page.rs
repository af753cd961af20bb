//! Pages: the embedded templates, the words of three languages, and which language to speak.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;
use serde::Serialize;
use tera::{Context, Kwargs, State, Tera, Value};

use crate::domain::money::exponent;
use crate::text_enum;

#[derive(rust_embed::RustEmbed)]
#[folder = "templates/public"]
#[prefix = "public/"]
struct Public;

#[derive(rust_embed::RustEmbed)]
#[folder = "templates/admin"]
#[prefix = "admin/"]
struct Admin;

text_enum! {
    /// What the public pages speak.
    pub enum Lang { En = "en", Zh = "zh", Ru = "ru" }
}

type Words = BTreeMap<String, String>;

/// Every page, parsed once; cheap to clone.
#[derive(Clone)]
pub struct Pages(Arc<Inner>);

struct Inner {
    tera: Tera,
    words: BTreeMap<Lang, Words>,
}

impl Default for Pages {
    fn default() -> Pages {
        Pages::new()
    }
}

impl Pages {
    /// # Panics
    /// Never with the templates this program was built from: a test renders every page.
    pub fn new() -> Pages {
        let text = |path: &str| {
            let data = Pages::asset(path).expect("a path of the listing");
            String::from_utf8(data.into_owned()).expect("templates are UTF-8")
        };
        let mut tera = Tera::new();
        register_filters(&mut tera);
        let pages = Public::iter().chain(Admin::iter()).filter(|path| path.ends_with(".html"));
        tera.add_raw_templates(pages.map(|path| (path.to_string(), text(&path)))).expect("the embedded pages parse");
        let words = toml::from_str::<BTreeMap<Lang, Words>>(&text("public/words.toml")).expect("the words parse");
        Pages(Arc::new(Inner { tera, words }))
    }

    /// What `key` is called in `lang`.
    pub fn word(&self, lang: Lang, key: &str) -> &str {
        self.0.words[&lang].get(key).map_or("", String::as_str)
    }

    /// A public page in `lang`.
    pub fn public<C: Serialize>(&self, name: &str, lang: Lang, fields: &C) -> String {
        let mut context = Context::from_serialize(fields).expect("the fields of a page are a struct");
        context.insert("lang", &lang);
        context.insert("w", &self.0.words[&lang]);
        self.render(&format!("public/{name}.html"), &context)
    }

    /// A page of the admin listener.
    pub fn admin<C: Serialize>(&self, name: &str, fields: &C) -> String {
        let context = Context::from_serialize(fields).expect("the fields of a page are a struct");
        self.render(&format!("admin/{name}.html"), &context)
    }

    fn render(&self, name: &str, context: &Context) -> String {
        self.0.tera.render(name, context).unwrap_or_else(|error| {
            tracing::error!(page = name, %error, "a page would not render");
            "<!doctype html><title>Error</title><p>This page could not be shown.".to_owned()
        })
    }

    /// An embedded file as it is: the style sheets and scripts of the admin pages.
    pub fn asset(path: &str) -> Option<std::borrow::Cow<'static, [u8]>> {
        Public::get(path).or_else(|| Admin::get(path)).map(|file| file.data)
    }
}

/// What the admin pages write numbers and times with.
fn register_filters(tera: &mut Tera) {
    tera.register_filter("count", |n: i64, _: Kwargs, _: &State| grouped(n));
    tera.register_filter("percent", |share: Value, _: Kwargs, _: &State| {
        share.as_f64().map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
    });
    // The script turns it into the reader's own zone.
    tera.register_filter("when", |ms: Value, _: Kwargs, _: &State| {
        let at = ms.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        at.map_or_else(|| "–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    });
    tera.register_filter("money", |minor: i64, kwargs: Kwargs, _: &State| {
        kwargs.must_get::<&str>("currency").map(|currency| amount(minor, currency))
    });
    tera.register_filter("spoken", |word: &str, _: Kwargs, _: &State| word.replace('_', " "));
    tera.register_filter("path_segment", |text: &str, _: Kwargs, _: &State| {
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
    });
}

/// `12.50 EUR`, by the currency's own decimals.
fn amount(minor: i64, currency: &str) -> String {
    let decimals = exponent(currency).unwrap_or(2);
    let unit = 10_i64.pow(decimals);
    let (whole, rest) = (grouped(minor / unit), minor.abs() % unit);
    match decimals {
        0 => format!("{whole} {currency}"),
        _ => format!("{whole}.{rest:0width$} {currency}", width = decimals as usize),
    }
}

/// `1 234 567`, with thin spaces that do not break.
fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "−" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

impl Lang {
    /// The language of a member's locale.
    pub fn of_locale(locale: &str) -> Option<Lang> {
        let primary = locale.split(['-', '_']).next().unwrap_or_default();
        primary.to_ascii_lowercase().parse().ok()
    }

    /// The language a browser prefers of those we speak (RFC 9110 §12.5.4); English if none.
    pub fn of_headers(headers: &HeaderMap) -> Lang {
        let wanted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let ranges = wanted.split(',').take(32).filter_map(|range| {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
            Some((Lang::of_locale(tag.trim())?, weight)).filter(|(_, weight)| *weight > 0.0)
        });
        // Of equal weights the first counts.
        ranges.fold((Lang::En, 0.0), |best, next| if next.1 > best.1 { next } else { best }).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Lang {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, value.parse().unwrap());
        Lang::of_headers(&headers)
    }

    #[test]
    fn the_browser_s_first_choice_that_we_speak() {
        assert_eq!(asked("de-DE,de;q=0.9,ru;q=0.8,en;q=0.7"), Lang::Ru);
        assert_eq!(asked("zh-Hans-CN"), Lang::Zh);
        assert_eq!(asked("en;q=0.1,zh;q=0"), Lang::En);
        assert_eq!(asked(";;;q=x,,"), Lang::En);
    }

    #[test]
    fn every_language_has_the_same_words() {
        let pages = Pages::new();
        let keys = |lang: &Lang| pages.0.words[lang].keys().cloned().collect::<Vec<_>>();
        for lang in Lang::ALL {
            assert_eq!(keys(lang), keys(&Lang::En), "{lang}");
        }
    }
}
