//! Mails: a template's source compiled once per version, rendered and composed once per member.
//!
//! [`compile`] checks a [`Source`](crate::domain::template::Source) and parses it; [`render_mail`] makes one member's
//! whole mail, headers and all. Nothing here reads a file, a database, a clock or the environment, and nothing a
//! template can call does.

pub mod bounds;
mod canonical;
mod compile;
mod compose;
mod desk;
mod dkim;
mod encode;
mod fault;
mod fields;
mod filters;
mod functions;
mod html;
mod links;
mod lint;
mod mail;
mod numbers;
mod source;
mod stationery;
mod text;
mod texts;
mod tokens;
mod trial;

pub use compile::{Compiled, check, compile};
pub use dkim::{DkimError, DkimKey, Secret, Signers};
pub use fault::Fault;
pub use fields::FIELDS;
pub use filters::FILTERS;
pub use functions::FUNCTIONS;
pub use links::PRODUCT_SLOT;
pub use mail::{Mail, Page, Recipient, RenderError, render_mail, render_page};
pub use source::from_files;
pub use stationery::{Sender, Stationery};
pub use trial::{TRIAL_CPU_S, TRIAL_MEMORY_BYTES, trial};
