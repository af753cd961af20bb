//! A rendering with sample members before a version is published. It belongs into a process of its own under the
//! system's limits ([`TRIAL_MEMORY_BYTES`], [`TRIAL_CPU_S`]): what the rules do not foresee ends there.

use crate::base::token::{KEY_BYTES, Keyring};
use crate::domain::catalog::{Catalog, Offer, Product};
use crate::domain::member::Member;
use crate::domain::recommend::History;
use crate::domain::template::Source;

use super::bounds::{HTML_BYTES_WARN, RAW_BYTES_MAX};
use super::compile::check;
use super::fault::Fault;
use super::lint::attributes;
use super::mail::{Recipient, RenderError, render_mail, render_page};
use super::stationery::{Sender, Stationery};

/// Address space of the trial's process.
pub const TRIAL_MEMORY_BYTES: u64 = 1 << 30;
/// Processor seconds of the trial's process.
pub const TRIAL_CPU_S: u64 = 3;
/// 26 November 2026.
const SAMPLE_MS: i64 = 1_795_687_200_000;

/// Renders every locale for a member of whom everything is known and for one of whom nothing is. Faults first, then
/// warnings; only faults forbid publishing.
pub fn trial(source: &Source) -> (Vec<Fault>, Vec<Fault>) {
    let compiled = match check(source) {
        Ok(compiled) => compiled,
        Err(faults) => return (faults, Vec::new()),
    };
    let mut faults = Vec::new();
    let mut warnings = compiled.warnings.clone();
    let keyring = Keyring::new(&[(0, [0; KEY_BYTES])]);
    let (catalog, history) = (catalog(), History::default());
    let stationery = Stationery::new(0, "trial", &source.topic, source.class, sender(), "https://mail.example");
    for part in &source.parts {
        for member in [known(source, &part.locale), unknown(&part.locale)] {
            let to = Recipient { message_id: 1, member: &member, history: &history };
            let page = render_page(&compiled, &stationery, &to, &catalog, &keyring, SAMPLE_MS, None);
            match page {
                Ok(page) => warnings.extend(remarks(&part.locale, &page.html)),
                Err(RenderError::Abort { .. }) => continue,
                Err(error) => {
                    faults.push(fault(&part.locale, error));
                    continue;
                }
            }
            if let Err(error) = render_mail(&compiled, &stationery, &to, &catalog, &keyring, SAMPLE_MS, SAMPLE_MS) {
                faults.push(fault(&part.locale, error));
            }
        }
    }
    faults.dedup();
    warnings.dedup();
    (faults, warnings)
}

fn fault(locale: &str, error: RenderError) -> Fault {
    let file = format!("{locale}.html");
    match error {
        RenderError::Template(fault) => fault,
        RenderError::TooLong { bytes_max, .. } if bytes_max == RAW_BYTES_MAX => {
            Fault::of(&file, "too_long", error.to_string(), "look for a loop that repeats more than it should")
        }
        RenderError::TooLong { .. } => Fault::of(&file, "too_long", error.to_string(), "shorten it: Gmail clips mails"),
        RenderError::Link { .. } => {
            let fix = "list the host in template.toml: link_hosts = [\"shop.example\"]";
            Fault::of(&file, "link", error.to_string(), fix)
        }
        error => Fault::of(&file, "render", error.to_string(), "mend the template"),
    }
}

fn remarks(locale: &str, html: &str) -> Vec<Fault> {
    let file = format!("{locale}.html");
    let mut remarks = Vec::new();
    if html.len() > HTML_BYTES_WARN {
        let what = format!("the HTML is {} bytes long and Gmail clips near 102,000", html.len());
        remarks.push(Fault::of(&file, "long", what, "shorten it"));
    }
    let pictures = html.match_indices("<img").filter(|(at, _)| {
        let tag = &html[*at..];
        !tag[..tag.find('>').unwrap_or(tag.len())].contains("alt=")
    });
    let n = pictures.count();
    if n > 0 {
        let what = format!("{n} pictures have no alt text");
        remarks.push(Fault::of(&file, "no_alt", what, "say what they show, or alt=\"\" for ornaments"));
    }
    remarks
}

fn sender() -> Sender {
    Sender {
        key: "trial".to_owned(),
        name: "Sample Sender".to_owned(),
        from: "offers@mail.example".to_owned(),
        reply_to: "care@mail.example".to_owned(),
        bounce_domain: "bounce.mail.example".to_owned(),
        postal_address: "1 Sample Street, Sampletown".to_owned(),
    }
}

fn known(source: &Source, locale: &str) -> Member {
    Member {
        id: 1,
        email: "sample@mail.example".to_owned(),
        external_id: Some("S-1".to_owned()),
        first_name: Some("Alexandra <&> \"Sample\"".to_owned()),
        last_name: Some("Константинопольская".to_owned()),
        locale: locale.to_owned(),
        zone: "Asia/Shanghai".to_owned(),
        points: 1_234_567,
        orders: 12,
        revenue_minor: 98_765_400,
        last_order_at_ms: Some(SAMPLE_MS - 86_400_000),
        attributes: attributes(source).into_iter().map(|name| (name, "1".to_owned())).collect(),
        ..Member::default()
    }
}

/// Not even an attribute: a template that names one must say what stands in its place.
fn unknown(locale: &str) -> Member {
    Member {
        id: 2,
        email: "nobody@mail.example".to_owned(),
        locale: locale.to_owned(),
        zone: "UTC".to_owned(),
        ..Member::default()
    }
}

fn catalog() -> Catalog {
    let kinds = ["refrigerator", "oven", "dishwasher", "kettle", "vacuum", "washer"];
    let product = |id: i64| {
        let kind = kinds[id as usize % kinds.len()];
        Product {
            id,
            sku: format!("S-{id}"),
            name: format!("Sample {kind} with a rather long name {id}"),
            category: format!("home/{kind}"),
            brand: "Sample & Sons".to_owned(),
            url: format!("https://mail.example/p/{id}"),
            image_url: format!("https://mail.example/i/{id}.png"),
            offers: vec![Offer { currency: "EUR".to_owned(), price_minor: 12_999 * id, ..Offer::default() }],
            ..Product::default()
        }
    };
    Catalog::new((1..=60).map(product).collect(), &[])
}
