//! Why a product is shown: told to its reader, kept with the mail, counted in reports.

use std::sync::Arc;

use crate::domain::catalog::{Catalog, Index, Node, Product};
use crate::domain::tagging::{BRAND, INTEREST};
use crate::text_enum;

text_enum! {
    /// Why a product is shown.
    pub enum Why {
        /// The member looked at it and did not buy it.
        Viewed = "viewed",
        /// The member's tag speaks of its category.
        Interest = "interest",
        /// The member's tag speaks of its brand.
        Brand = "brand",
        /// Who bought a product of that category like the member bought this one too.
        Bought = "bought_together",
        /// Who looked at a product of that category like the member looked at this one too.
        Alike = "viewed_together",
        /// Who bought from a category like the member did often buys from its category next.
        Next = "bought_next",
        /// The member bought it before.
        Again = "again",
        /// An engine outside chose it for the member.
        Engine = "engine",
        /// It belongs to a suite the member bought of or looked at.
        Suite = "suite",
        /// It came after a model the member owns or looked at.
        Successor = "successor",
        /// The member's points pay for it.
        Points = "points",
        /// Nothing speaks for it: it is shown to learn of it.
        Explore = "explore",
        /// It sells well in a category the member looked at, or the block asks for.
        Category = "category",
        /// It sells well.
        Popular = "popular",
        /// It is new.
        New = "new",
        /// The marketer chose it.
        Pinned = "pinned",
    }
}

impl Why {
    const fn letter(self) -> char {
        match self {
            Why::Viewed => 'v',
            Why::Interest => 'i',
            Why::Brand => 'b',
            Why::Bought => 't',
            Why::Alike => 'l',
            Why::Next => 'f',
            Why::Again => 'a',
            Why::Engine => 'g',
            Why::Suite => 's',
            Why::Successor => 'u',
            Why::Points => 'o',
            Why::Explore => 'e',
            Why::Category => 'c',
            Why::Popular => 'p',
            Why::New => 'n',
            Why::Pinned => 'x',
        }
    }

    /// What such a reason rests on where the product itself tells.
    fn rests_on(self, product: &Product) -> Option<&str> {
        match self {
            Why::Interest | Why::Category => Some(product.category_leaf()),
            Why::Brand => Some(&product.brand),
            Why::Suite => Some(&product.suite),
            Why::Successor | Why::Points | Why::Explore => None,
            Why::Bought
            | Why::Alike
            | Why::Next
            | Why::Engine
            | Why::Again
            | Why::Viewed
            | Why::Popular
            | Why::New
            | Why::Pinned => None,
        }
    }
}

/// Why a product is shown, and the category, brand or suite that rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    pub why: Why,
    /// The last part of a category for [`Why::Interest`] and [`Why::Category`], the brand for [`Why::Brand`], the
    /// suite for [`Why::Suite`], for [`Why::Bought`], [`Why::Alike`] and [`Why::Next`] the last part of the category of
    /// what the member bought or looked at.
    pub on: Option<Arc<str>>,
}

impl Reason {
    /// The tag this reason rests on.
    pub fn tag(&self) -> Option<String> {
        match (self.why, &self.on) {
            (Why::Interest, Some(on)) => Some(format!("{INTEREST}{on}")),
            (Why::Brand, Some(on)) => Some(format!("{BRAND}{on}")),
            _ => None,
        }
    }

    /// The reason as a [`Shown`](crate::domain::shown::Shown) keeps it: one letter, and what it rests on only where the
    /// product does not tell.
    pub fn code(&self, product: &Product) -> String {
        let mut code = self.why.letter().to_string();
        if let Some(on) = self.on.as_deref().filter(|on| self.why.rests_on(product) != Some(on)) {
            code.push('=');
            code.push_str(on);
        }
        code
    }

    /// The reason a code stands for; `None`: not one of ours.
    pub fn from_code(code: &str, product: &Product) -> Option<Reason> {
        let why = Why::ALL.iter().copied().find(|why| code.starts_with(why.letter()))?;
        let on = match code[1..].strip_prefix('=') {
            Some(on) => Some(on.into()),
            None => why.rests_on(product).map(Arc::from),
        };
        Some(Reason { why, on })
    }
}

/// A reason as long as nobody is told it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ground {
    pub why: Why,
    /// The category it rests on; a brand or a suite is the product's own.
    pub on: Option<Node>,
}

impl Ground {
    pub(super) fn plain(why: Why) -> Ground {
        Ground { why, on: None }
    }

    pub(super) fn category(why: Why, node: Node) -> Ground {
        Ground { why, on: Some(node) }
    }

    /// What the reader of a product is told.
    pub(super) fn told(self, catalog: &Catalog, index: Index) -> Reason {
        let own = || self.why.rests_on(catalog.at(index)).map(Arc::from);
        Reason { why: self.why, on: self.on.map(|node| catalog.leaf_of(node).clone()).or_else(own) }
    }
}
