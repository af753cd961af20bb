//! One member's mail, and the page that shows it again.

use jiff::Timestamp;
use memchr::memmem;
use tera::{ErrorKind, Value};

use crate::base::World;
use crate::base::token::{Keyring, Token};
use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::recommend::{History, Occasion, Sitting};
use crate::domain::shown::Shown;

use super::bounds::{
    Bounded, Deadline, HTML_BYTES_MAX, LINE_BYTES_MAX, RANGE_TOTAL_MAX, RAW_BYTES_MAX, TEXT_BYTES_MAX,
};
use super::compile::{Compiled, Ready, pixel, trap};
use super::compose::{Letter, compose};
use super::desk::{Block, Desk, Press};
use super::dkim::DkimError;
use super::fault::Fault;
use super::functions::{attributes_value, member_value};
use super::links::{Marks, is_web, product_link};
use super::stationery::Stationery;

/// Who a mail is for, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'r> {
    pub message_id: i64,
    pub member: &'r Member,
    pub history: &'r History,
}

/// A mail ready for the wire.
#[derive(Debug, Clone)]
pub struct Mail {
    pub envelope_from: String,
    pub envelope_to: String,
    /// ASCII with CRLF, dots not stuffed.
    pub bytes: Vec<u8>,
    pub shown: Shown,
}

/// A mail as people see it: previews and web versions.
#[derive(Debug, Clone)]
pub struct Page {
    pub locale: String,
    pub subject: String,
    pub preheader: String,
    pub html: String,
    pub text: String,
    pub shown: Shown,
}

/// Why a mail was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template called `abort`: the member is skipped, nothing is wrong.
    #[error("the template asked not to be sent: {reason}")]
    Abort { reason: String },
    #[error("{0}")]
    Template(Fault),
    #[error("the {part} would be longer than {bytes_max} bytes")]
    TooLong { part: &'static str, bytes_max: usize },
    #[error("the mail was not ready after {ms} ms; let its loops and filters do less")]
    TooSlow { ms: i64 },
    #[error("the link {url:?} {why}")]
    Link { url: String, why: &'static str },
    #[error("the template has no part for locale {0:?} and none for its default")]
    Locale(String),
    #[error(transparent)]
    Dkim(#[from] DkimError),
    #[error("the template could not be rendered: {0}")]
    Other(String),
}

/// Renders and composes one member's mail. `date_ms` is when it was first handed over and stays the same over retries;
/// `now_ms` is what the template takes for now. CPU only: call it off the threads that do I/O when there are many.
///
/// # Errors
/// Why there is no mail; [`RenderError::Abort`] is the template's own wish.
pub fn render_mail(
    compiled: &Compiled,
    stationery: &Stationery,
    recipient: &Recipient<'_>,
    catalog: &Catalog,
    keyring: &Keyring,
    date_ms: i64,
    now_ms: i64,
) -> Result<Mail, RenderError> {
    let job = Job { compiled, stationery, recipient, catalog, keyring, now_ms, replay: None };
    job.on_a_press(|press, ready, lines, shown| {
        let letter = Letter {
            stationery,
            member: recipient.member,
            message_id: recipient.message_id,
            date_ms,
            locale: &ready.locale,
            subject: &lines.subject,
            html: &press.html,
            text: &press.text,
        };
        let (envelope_from, bytes) = compose(&letter, keyring);
        Ok(Mail { envelope_from, envelope_to: recipient.member.email.clone(), bytes, shown })
    })
}

/// Renders what a person sees: a preview, or with `again` the very products a sent mail showed.
///
/// # Errors
/// As [`render_mail`].
pub fn render_page(
    compiled: &Compiled,
    stationery: &Stationery,
    recipient: &Recipient<'_>,
    catalog: &Catalog,
    keyring: &Keyring,
    now_ms: i64,
    again: Option<&Shown>,
) -> Result<Page, RenderError> {
    let job = Job { compiled, stationery, recipient, catalog, keyring, now_ms, replay: again };
    job.on_a_press(|press, ready, lines, shown| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (html, text) = (text(&press.html), text(&press.text));
        Ok(Page { locale: ready.locale.clone(), subject: lines.subject, preheader: lines.preheader, html, text, shown })
    })
}

/// What one rendering needs.
struct Job<'j> {
    compiled: &'j Compiled,
    stationery: &'j Stationery,
    recipient: &'j Recipient<'j>,
    catalog: &'j Catalog,
    keyring: &'j Keyring,
    now_ms: i64,
    replay: Option<&'j Shown>,
}

struct Lines {
    subject: String,
    preheader: String,
}

impl Job<'_> {
    /// Renders on a press of the version and hands its buffers to `use_it`.
    fn on_a_press<T>(
        &self,
        use_it: impl FnOnce(&Press, &Ready, Lines, Shown) -> Result<T, RenderError>,
    ) -> Result<T, RenderError> {
        let locale = self.replay.map_or(&self.recipient.member.locale, |shown| &shown.locale);
        let ready = self.compiled.part(locale).ok_or_else(|| RenderError::Locale(locale.clone()))?;
        let mut press = self.compiled.take_press();
        let done = self.render(&mut press, ready).and_then(|lines| {
            let shown = self.shown(&press, ready);
            use_it(&press, ready, lines, shown)
        });
        self.compiled.give_back(press);
        done
    }

    fn render(&self, press: &mut Press, ready: &Ready) -> Result<Lines, RenderError> {
        self.lay_desk(press, ready);
        self.fill_context(press, ready);
        let (clock, ms) = self.clock();
        let deadline = Deadline::within(clock, ms);
        let subject = self.line(press, ready, (&ready.names.subject, "subject"), deadline)?;
        press.context.insert_value("subject", Value::from(subject.as_str()));
        let preheader = self.line(press, ready, (&ready.names.preheader, "preheader"), deadline)?;
        press.context.insert_value("preheader", Value::from(preheader.as_str()));
        self.body(press, ready, true, deadline)?;
        press.desk.lock().blocks.iter_mut().for_each(|block| block.used = false);
        self.body(press, ready, false, deadline)?;
        // What works without writing is noticed now.
        deadline.keep().map_err(|_| RenderError::TooSlow { ms })?;
        Ok(Lines { subject, preheader })
    }

    fn clock(&self) -> (Option<&World>, i64) {
        self.stationery.clock.as_ref().map_or((None, 0), |(world, ms)| (Some(world), *ms))
    }

    fn lay_desk(&self, press: &Press, ready: &Ready) {
        let mut desk = press.desk.lock();
        desk.member.clone_from(self.recipient.member);
        match self.recipient.member.wishes.personalise {
            true => desk.history.clone_from(self.recipient.history),
            // What was bought still says what not to offer.
            false => desk.history = History { bought: self.recipient.history.bought.clone(), ..History::default() },
        }
        desk.catalog = Some(self.catalog.clone());
        desk.mail =
            Occasion { run: i64::from(self.stationery.run), message: self.recipient.message_id, now_ms: self.now_ms };
        desk.lang = ready.lang;
        desk.texts = ready.texts.clone();
        desk.reasons = ready.reasons.clone();
        desk.sitting = Sitting::default();
        desk.blocks.clear();
        desk.products.clear();
        desk.product_links.clear();
        desk.shown.clear();
        desk.sealed.clear();
        desk.replay = self.replay.map(|shown| shown.products.clone());
        desk.range_left = RANGE_TOTAL_MAX;
        desk.aborted = None;
        let first = self.catalog.products().iter().find_map(|product| product.offer(&self.recipient.member.market));
        first.map_or("", |offer| &offer.currency).clone_into(&mut desk.currency);
    }

    /// Sets what may differ between two mails of one press. The list of fields is [`fields`](super::fields).
    fn fill_context(&self, press: &mut Press, ready: &Ready) {
        let member = self.recipient.member;
        let balance = self.replay.map_or(member.points, |shown| shown.balance);
        let today = {
            let zone = press.desk.lock().zone(&member.zone);
            Timestamp::from_millisecond(self.now_ms).unwrap_or_default().to_zoned(zone).date()
        };
        let context = &mut press.context;
        context.insert_value("member", member_value(member, balance));
        context.insert_value("attr", attributes_value(member));
        context.insert_value("points", Value::from(balance));
        context.insert_value("locale", Value::from(ready.locale.as_str()));
        context.insert_value("campaign", self.stationery.campaign_value.clone());
        context.insert_value("sender", self.stationery.sender_value.clone());
        context.insert_value("public_url", Value::from(self.stationery.public_url.as_str()));
        context.insert_value("today", Value::from(today.to_string()));
    }

    /// A subject or preheader: one line, white space folded.
    fn line(
        &self,
        press: &mut Press,
        ready: &Ready,
        (name, part): (&str, &'static str),
        deadline: Deadline<'_>,
    ) -> Result<String, RenderError> {
        let Press { tera, context, raw, .. } = press;
        raw.clear();
        let done = tera.render_to(name, context, Bounded::new(raw, LINE_BYTES_MAX, deadline));
        done.map_err(|error| self.failed(press, ready, &error, (part, LINE_BYTES_MAX)))?;
        let text = String::from_utf8_lossy(&press.raw);
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" ").replace(|c: char| c.is_control(), ""))
    }

    fn body(&self, press: &mut Press, ready: &Ready, html: bool, deadline: Deadline<'_>) -> Result<(), RenderError> {
        let (name, part, bytes_max) = if html {
            (&ready.names.html, "HTML", HTML_BYTES_MAX)
        } else {
            (&ready.names.text, "text part", TEXT_BYTES_MAX)
        };
        let Press { tera, context, raw, .. } = press;
        raw.clear();
        let done = tera.render_to(name, context, Bounded::new(raw, RAW_BYTES_MAX, deadline));
        done.map_err(|error| self.failed(press, ready, &error, (part, RAW_BYTES_MAX)))?;
        let mut desk = press.desk.lock();
        self.link_products(&mut desk);
        let marks = Marks {
            keyring: self.keyring,
            run: self.stationery.run,
            message: self.recipient.message_id,
            public_url: &self.stationery.public_url,
            products: &desk.product_links,
            sealed: &desk.sealed,
            hosts: &self.compiled.hosts,
            straight: (!self.recipient.member.wishes.track_clicks).then_some(self.compiled.links.as_slice()),
            html,
        };
        let out = if html { &mut press.html } else { &mut press.text };
        out.clear();
        // What would watch a reader who does not want it is left out whole.
        let wishes = &self.recipient.member.wishes;
        let unwanted = [(!wishes.track_clicks).then(trap), (!wishes.track_opens).then(pixel)];
        let mut rest = press.raw.as_slice();
        for piece in unwanted.iter().flatten().filter(|_| html) {
            if let Some(at) = memmem::find(rest, piece.as_bytes()) {
                marks.write(&rest[..at], out)?;
                rest = &rest[at + piece.len()..];
            }
        }
        marks.write(rest, out)?;
        if out.len() > bytes_max {
            return Err(RenderError::TooLong { part, bytes_max });
        }
        Ok(())
    }

    fn link_products(&self, desk: &mut Desk) {
        let token = Token::of(self.stationery.run, self.recipient.message_id);
        for number in desk.product_links.len()..desk.products.len() {
            let product = desk.products[number];
            let page = self.catalog.get(i64::from(product)).map_or("", |product| product.url.as_str());
            let straight = !self.recipient.member.wishes.track_clicks && is_web(page);
            let link = match straight {
                true => page.to_owned(),
                false => product_link(self.keyring, &self.stationery.public_url, token, number, product),
            };
            desk.product_links.push(link);
        }
    }

    fn shown(&self, press: &Press, ready: &Ready) -> Shown {
        let desk = press.desk.lock();
        Shown {
            template_version: self.compiled.version_id,
            locale: ready.locale.clone(),
            balance: self.replay.map_or(self.recipient.member.points, |shown| shown.balance),
            products: desk.shown.clone(),
            blocks: desk.blocks.iter().map(Block::served).collect(),
        }
    }

    fn failed(
        &self,
        press: &Press,
        ready: &Ready,
        error: &tera::Error,
        (part, bytes_max): (&'static str, usize),
    ) -> RenderError {
        if let Some(reason) = press.desk.lock().aborted.take() {
            return RenderError::Abort { reason };
        }
        match error.kind() {
            ErrorKind::Io(std::io::ErrorKind::FileTooLarge) => RenderError::TooLong { part, bytes_max },
            ErrorKind::Io(std::io::ErrorKind::TimedOut) => RenderError::TooSlow { ms: self.clock().1 },
            _ => match ready.fault(error) {
                Some(fault) => RenderError::Template(fault),
                None => RenderError::Other(error.to_string()),
            },
        }
    }
}
