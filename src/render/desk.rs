//! One mail's data, where the functions and filters of a template find it, and the press that renders with them.
//!
//! Tera's functions own what they see, and are made when a template is parsed. So each press (a parsed template with a
//! desk of its own) renders one mail at a time, and a version keeps as many presses as ever rendered at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::tz::TimeZone;
use tera::{Context, Tera, Value};

use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::recommend::{History, Occasion, Request, Sitting};

use super::numbers::Lang;
use super::texts::Reasons;
use super::{filters, functions};

/// What the functions of one press reach.
#[derive(Default)]
pub struct Desk {
    pub member: Member,
    pub history: History,
    pub catalog: Option<Catalog>,
    /// Which mail this is, and when.
    pub mail: Occasion,
    pub lang: Lang,
    pub zone: Option<(String, TimeZone)>,
    pub texts: Arc<BTreeMap<String, String>>,
    pub reasons: Arc<Reasons>,
    /// What its blocks share, so that no product is shown twice.
    pub sitting: Sitting,
    /// The blocks of this mail: its text part shows what its HTML shows.
    pub blocks: Vec<Block>,
    /// What an earlier rendering showed, in order, when that is to be shown again.
    pub replay: Option<Vec<(i64, String)>>,
    /// Product ids by number of their mark, and the codes of their reasons.
    pub products: Vec<u32>,
    /// Their links, as far as they were made.
    pub product_links: Vec<String>,
    pub shown: Vec<(i64, String)>,
    /// Destinations that `link()` was given.
    pub sealed: Vec<String>,
    /// The currency of what was picked last.
    pub currency: String,
    pub range_left: i64,
    /// Why the template asked not to be sent to this member.
    pub aborted: Option<String>,
}

/// One product block as it was shown.
pub struct Block {
    pub asked: Request,
    pub value: Value,
    /// Whether the part being rendered has shown it.
    pub used: bool,
}

impl Block {
    /// The strategy, and how many products it gave.
    pub fn served(&self) -> (String, usize) {
        (self.asked.strategy.to_string(), self.value.as_array().map_or(0, <[Value]>::len))
    }
}

/// A desk as functions hold it.
#[derive(Clone, Default)]
pub struct DeskRef(Arc<Mutex<Desk>>);

impl DeskRef {
    pub fn lock(&self) -> MutexGuard<'_, Desk> {
        // A function that panicked leaves a desk that the next mail lays anew.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A parsed template with a desk, a context and buffers of its own.
pub struct Press {
    pub tera: Tera,
    pub desk: DeskRef,
    pub context: Context,
    pub raw: Vec<u8>,
    pub html: Vec<u8>,
    pub text: Vec<u8>,
}

impl Press {
    /// A press for the templates of `parsed`.
    pub fn new(parsed: &Tera) -> Press {
        let mut tera = parsed.clone();
        let desk = DeskRef::default();
        functions::register(&mut tera, &desk);
        filters::register(&mut tera, &desk);
        Press { tera, desk, context: Context::new(), raw: Vec::new(), html: Vec::new(), text: Vec::new() }
    }
}

impl Desk {
    /// The member's zone, looked up once as long as members share it.
    pub fn zone(&mut self, name: &str) -> TimeZone {
        match &self.zone {
            Some((known, zone)) if known == name => zone.clone(),
            _ => {
                let zone = TimeZone::get(name).unwrap_or(TimeZone::UTC);
                self.zone = Some((name.to_owned(), zone.clone()));
                zone
            }
        }
    }
}
