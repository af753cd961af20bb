//! A campaign as its author writes it, and as a run freezes it.

use serde::{Deserialize, Serialize};

use super::suppression::SCOPE_ASKING;
use crate::base::draw::{LOT_MODULUS, Permutation, lot_at};
use crate::text_enum;

/// Most variants a campaign may have.
pub const VARIANTS_MAX: usize = 8;
/// The campaign whose standing runs answer the sign-up form.
pub const SIGN_UP: &str = "sign-up";
/// Longest campaign name, bytes.
pub const NAME_BYTES_MAX: usize = 100;
/// How long after its month began a standing run takes messages and sends them, milliseconds: the month, and a day.
pub const STANDING_MS: i64 = 32 * 86_400_000;

text_enum! {
    /// What a mail is for: it decides consent, caps, retries and headers.
    pub enum MailClass {
        /// Needs consent to its topic; offers go stale, doubts are held.
        Marketing = "marketing",
        /// Asked for by the recipient's own act; ignores marketing consent.
        Transactional = "transactional",
    }
}

/// The campaign file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignFile {
    pub name: String,
    pub template: Option<String>,
    /// Who gets it, in the segment language.
    pub segment: String,
    /// What its readers consented to; the template's own topic when left out.
    pub topic: Option<String>,
    /// The `[[sender]]` it is sent as; the only one when left out.
    pub sender: Option<String>,
    /// When it starts: RFC 3339 with an offset. At once when left out.
    pub at: Option<String>,
    /// The share of the audience held out for comparison, 0 to 0.5.
    pub holdout: Option<f64>,
    /// Mails per second at most, fractions allowed.
    pub rate: Option<f64>,
    #[serde(default)]
    pub variant: Vec<VariantEntry>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantEntry {
    pub name: String,
    pub template: String,
    pub share: f64,
}

/// One thing wrong with a campaign file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct Fault {
    pub field: String,
    pub what: String,
}

impl CampaignFile {
    /// Every fault that shows without looking anything up.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, what: String| faults.push(Fault { field: field.to_owned(), what });
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || self.name.chars().any(char::is_control) {
            fault("name", format!("must be 1 to {NAME_BYTES_MAX} bytes of plain text"));
        }
        match (&self.template, self.variant.is_empty()) {
            (None, true) => fault("template", "is missing; name a template, or list [[variant]] entries".to_owned()),
            (Some(_), false) => {}
            _ => {}
        }
        if let Some(share) = self.holdout.filter(|share| !(0.0..=0.5).contains(share)) {
            fault("holdout", format!("is {share}, must be between 0 and 0.5"));
        }
        if let Some(rate) = self.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            fault("rate", format!("is {rate}, must be above 0 (mails per second)"));
        }
        if let Err(what) = self.starts_at_ms() {
            fault("at", what);
        }
        if self.variant.len() > VARIANTS_MAX {
            fault("variant", format!("there are {}, at most {VARIANTS_MAX} are possible", self.variant.len()));
        }
        for (i, variant) in self.variant.iter().enumerate() {
            if !(variant.share > 0.0 && variant.share <= 1.0) {
                fault(&format!("variant[{i}].share"), format!("is {}, must be above 0 and at most 1", variant.share));
            }
            if self.variant[..i].iter().any(|other| other.name == variant.name) {
                fault(&format!("variant[{i}].name"), format!("{:?} is used twice", variant.name));
            }
        }
        let sum: f64 = self.variant.iter().map(|variant| variant.share).sum();
        if !self.variant.is_empty() && (sum - 1.0).abs() > 1e-6 {
            fault("variant", format!("shares sum to {sum}, must sum to 1"));
        }
        faults
    }

    /// When it starts, unix milliseconds; `None` at once.
    ///
    /// # Errors
    /// What is wrong with `at`.
    pub fn starts_at_ms(&self) -> Result<Option<i64>, String> {
        let Some(at) = &self.at else { return Ok(None) };
        let parsed: Result<jiff::Timestamp, _> = at.parse();
        parsed
            .map(|at| Some(at.as_millisecond()))
            .map_err(|_| format!("{at:?} is not a time with its offset, such as \"2026-11-26T10:00:00+08:00\""))
    }

    /// The variants, a plain campaign being one of share 1 named after its template.
    pub fn variants(&self) -> Vec<VariantEntry> {
        match &self.template {
            Some(template) if self.variant.is_empty() => {
                vec![VariantEntry { name: template.clone(), template: template.clone(), share: 1.0 }]
            }
            _ => self.variant.clone(),
        }
    }
}

/// A campaign's document as a run carries it: names resolved, nothing left to look up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDoc {
    pub campaign: String,
    pub class: MailClass,
    pub topic: String,
    pub sender: String,
    pub segment: String,
    pub holdout: f64,
    pub rate: Option<f64>,
    pub variants: Vec<Variant>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    pub name: String,
    pub template: String,
    pub template_version_id: i64,
    pub share: f64,
}

/// How a run draws its members' lots: who is held out, who gets which variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    pub holdout: Permutation,
    /// Lots that land below this are held out.
    pub holdout_below: i64,
    pub variant: Permutation,
    /// Upper bounds, exclusive, by variant; the last is the modulus.
    pub variant_below: Vec<i64>,
}

impl RunDoc {
    /// Whether it is a standing run's: nobody is selected, messages come one by one.
    pub fn is_standing(&self) -> bool {
        self.segment.is_empty()
    }

    /// The suppression scope that stops its mails besides `all`: the topic. Transactional mail has none, and an answer
    /// to a sign-up form is stopped by less.
    pub fn scope(&self) -> &str {
        match self.class {
            MailClass::Marketing => &self.topic,
            MailClass::Transactional if self.is_standing() && self.campaign == SIGN_UP => SCOPE_ASKING,
            MailClass::Transactional => "",
        }
    }

    /// The draws of this run under its seed.
    pub fn draws(&self, seed: i64) -> Draws {
        let mut sum = 0.0;
        let mut below: Vec<i64> = self
            .variants
            .iter()
            .map(|variant| {
                sum += variant.share;
                lot_at(sum)
            })
            .collect();
        if let Some(last) = below.last_mut() {
            *last = LOT_MODULUS;
        }
        Draws {
            holdout: Permutation::new(seed, "holdout"),
            holdout_below: lot_at(self.holdout),
            variant: Permutation::new(seed, "variant"),
            variant_below: below,
        }
    }
}

impl Draws {
    /// Whether the member with `lot` is held out, and which variant it drew.
    pub fn of(&self, lot: i64) -> (bool, usize) {
        let drawn = self.variant.of(lot);
        let variant = self.variant_below.iter().position(|below| drawn < *below).unwrap_or(0);
        (self.holdout.of(lot) < self.holdout_below, variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> CampaignFile {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_fault_is_named() {
        let file = file(
            "name = ''\nsegment = 'points > 1'\nholdout = 0.9\nrate = -1.0\nat = 'tomorrow'\n\
             [[variant]]\nname = 'a'\ntemplate = 't'\nshare = 0.4\n[[variant]]\nname = 'a'\ntemplate = 't'\nshare = 0.4",
        );
        let fields: Vec<String> = file.faults().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["name", "holdout", "rate", "at", "variant[1].name", "variant"]);
    }

    #[test]
    fn shares_are_kept_within_a_percent() {
        let doc = RunDoc {
            campaign: "c".into(),
            class: MailClass::Marketing,
            topic: "offers".into(),
            sender: "s".into(),
            segment: "true".into(),
            holdout: 0.05,
            rate: None,
            variants: [0.5, 0.3, 0.2]
                .map(|share| Variant { name: "v".into(), template: "t".into(), template_version_id: 1, share })
                .to_vec(),
        };
        let draws = doc.draws(42);
        let mut held = 0;
        let mut of = [0; 3];
        for i in 0..100_000_i64 {
            let (out, variant) = draws.of(i * 21_474 % LOT_MODULUS);
            held += i64::from(out);
            of[variant] += 1;
        }
        assert!((4_000..6_000).contains(&held), "{held}");
        assert!((49_000..51_000).contains(&of[0]) && (19_000..21_000).contains(&of[2]), "{of:?}");
    }
}
