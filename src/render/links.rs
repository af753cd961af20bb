//! Tracked links. At publish every link of a template becomes a mark with its slot; at render one pass over the
//! finished text writes each mark's token. A mark is `U+0002 kind number U+0003`: no text that reaches a template holds
//! control characters, and no escaping touches them.
//!
//! The order of slots is a stored format: links in sent mail carry slots, so the same source must always give the same.

use std::collections::HashSet;
use std::ops::Range;

use crate::base::token::{Keyring, SEALED_URL_BYTES_MAX, Token, Use};
use crate::domain::people::HIDDEN_SLOT;
use crate::domain::template::Link;

use super::bounds::SEALED_MAX;
use super::mail::RenderError;

pub const MARK: char = '\u{2}';
pub const MARK_END: char = '\u{3}';
const MARK_BYTE: u8 = 2;
const MARK_END_BYTE: u8 = 3;
/// Slots from here up are places in product blocks, counted through the mail; below, rows of `link`.
pub const PRODUCT_SLOT: u16 = 0x8000;

/// A mark as text.
pub fn mark(kind: char, number: usize) -> String {
    format!("{MARK}{kind}{number}{MARK_END}")
}

/// What the marks of one mail stand for.
pub struct Marks<'m> {
    pub keyring: &'m Keyring,
    pub run: u32,
    pub message: i64,
    pub public_url: &'m str,
    /// Links to products by number of a `P` mark: a picture, a name and a button share one.
    pub products: &'m [String],
    /// Destinations by number of an `S` mark.
    pub sealed: &'m [String],
    /// Where personalised links may lead.
    pub hosts: &'m HashSet<String>,
    /// The version's links, where the member wants to be led straight to where they lead.
    pub straight: Option<&'m [Link]>,
    /// Whether the text around is HTML, and so what is between marks is escaped.
    pub html: bool,
}

impl Marks<'_> {
    /// Copies `raw` to `out`, every mark written out.
    ///
    /// # Errors
    /// A personalised link that leads nowhere, or where it may not.
    pub fn write(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), RenderError> {
        let mut rest = raw;
        while let Some(at) = memchr::memchr(MARK_BYTE, rest) {
            out.extend_from_slice(&rest[..at]);
            let (kind, number, after) = read(&rest[at..]);
            rest = match kind {
                b'D' => self.write_personal(number, after, out)?,
                _ => {
                    self.write_mark(kind, number, 0, out)?;
                    after
                }
            };
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// A link that is worked out per member, up to its `E` mark; returns what follows.
    fn write_personal<'r>(&self, slot: usize, after: &'r [u8], out: &mut Vec<u8>) -> Result<&'r [u8], RenderError> {
        let end = memchr::memmem::find(after, b"\x02E0\x03").unwrap_or(after.len());
        let (target, rest) = after.split_at(end);
        let rest = rest.get(4..).unwrap_or_default();
        let target = target.trim_ascii();
        if target.first() == Some(&MARK_BYTE) {
            let (kind, number, tail) = read(target);
            self.write_mark(kind, number, slot, out)?;
            out.extend_from_slice(tail);
            return Ok(rest);
        }
        let text = String::from_utf8_lossy(target);
        let url = if self.html { unescape(&text) } else { text.into_owned() };
        let lower = url.get(..8).unwrap_or(&url).to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            self.write_sealed(slot, &url, out)?;
        } else if ["mailto:", "tel:", "sms:", "#"].iter().any(|scheme| lower.starts_with(scheme)) {
            out.extend_from_slice(target);
        } else {
            return Err(RenderError::Link { url, why: "is no http, https, mailto or tel link" });
        }
        Ok(rest)
    }

    fn write_mark(&self, kind: u8, number: usize, slot: usize, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let token = Token::of(self.run, self.message);
        match kind {
            b'L' => match self.straight.and_then(|links| links.iter().find(|link| usize::from(link.slot) == number)) {
                Some(link) => self.write_straight(&link.url, out),
                None => self.url("/c/", Use::Click, &Token { slot: number as u16, ..token }, out),
            },
            b'H' => self.url("/c/", Use::Click, &Token { slot: HIDDEN_SLOT, ..token }, out),
            b'P' => self.write_straight(self.products.get(number).map_or("", String::as_str), out),
            b'S' => match self.sealed.get(number) {
                Some(url) => self.write_sealed(slot, url, out)?,
                None => return Err(RenderError::Link { url: String::new(), why: "was not made by link()" }),
            },
            b'U' => self.url("/u/", Use::Unsubscribe, &token, out),
            b'F' => self.url("/p/", Use::Preferences, &token, out),
            b'W' => self.url("/v/", Use::WebVersion, &token, out),
            b'J' => self.url("/j/", Use::Confirm, &token, out),
            b'O' => {
                self.url("/o/", Use::Open, &token, out);
                out.extend_from_slice(b".gif");
            }
            _ => {}
        }
        Ok(())
    }

    fn url(&self, path: &str, usage: Use, token: &Token, out: &mut Vec<u8>) {
        out.extend_from_slice(self.public_url.as_bytes());
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(self.keyring.seal(usage, token).as_bytes());
    }

    /// An address as it is, or as HTML has it; a tracked link reads the same in both.
    fn write_straight(&self, url: &str, out: &mut Vec<u8>) {
        match self.html {
            // Writing to a vector cannot fail.
            true => drop(tera::escape_html(url, out)),
            false => out.extend_from_slice(url.as_bytes()),
        }
    }

    fn write_sealed(&self, slot: usize, url: &str, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let refuse = |why| Err(RenderError::Link { url: url.to_owned(), why });
        if url.len() > SEALED_URL_BYTES_MAX {
            return refuse("is too long");
        }
        match host(url) {
            None => return refuse("has no host"),
            Some(to) if !self.hosts.contains(&to) && host(self.public_url).as_ref() != Some(&to) => {
                return refuse("leads to a host that is not listed in template.toml (link_hosts)");
            }
            Some(_) => {}
        }
        if self.straight.is_some() {
            self.write_straight(url, out);
            return Ok(());
        }
        let token = Token { slot: slot as u16, ..Token::of(self.run, self.message) };
        out.extend_from_slice(self.public_url.as_bytes());
        out.extend_from_slice(b"/c/");
        out.extend_from_slice(self.keyring.seal_link(&token, url).as_bytes());
        Ok(())
    }
}

/// Whether an address leads to the web, whatever the tables hold.
pub fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The link to the product that a mail shows as its `number`th.
pub fn product_link(keyring: &Keyring, public_url: &str, token: Token, number: usize, product: u32) -> String {
    let slot = PRODUCT_SLOT.saturating_add(u16::try_from(number).unwrap_or(u16::MAX));
    format!("{public_url}/c/{}", keyring.seal(Use::Click, &Token { slot, product, ..token }))
}

/// Kind and number of the mark that `text` starts with, and what follows it.
fn read(text: &[u8]) -> (u8, usize, &[u8]) {
    let end = memchr::memchr(MARK_END_BYTE, text).unwrap_or(text.len());
    let kind = text.get(1).copied().unwrap_or_default();
    let digits = text.get(2..end).unwrap_or_default();
    let number = digits.iter().fold(0_usize, |n, c| n.wrapping_mul(10).wrapping_add(usize::from(c.wrapping_sub(b'0'))));
    (kind, number, text.get(end + 1..).unwrap_or_default())
}

/// The host of an http(s) URL in lower case, without user and port.
pub fn host(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// The five entities that URLs in HTML are written with.
pub fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let text = text.replace("&#38;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&#x2F;", "/")
        .replace("&#x2f;", "/")
        .replace("&amp;", "&")
}

/// The links of a version, numbered as they are met: the same URL at the same place of another locale shares its slot.
#[derive(Debug, Default)]
pub struct Slots {
    pub links: Vec<Link>,
    /// Hosts written out in links that are worked out per member.
    pub hosts: Vec<String>,
    /// By slot, at which place of its document it was met first.
    places: Vec<usize>,
}

impl Slots {
    /// The slot of the link at `place` of a document; slots count from 1.
    pub fn take(&mut self, place: usize, url: &str, label: &str) -> u16 {
        let same = |(link, at): (&Link, &usize)| link.url == url && *at == place && !url.is_empty();
        if let Some(n) = self.links.iter().zip(&self.places).position(same) {
            return self.links[n].slot;
        }
        self.push(place, url, label)
    }

    /// The slot of a link in a text part: the first that leads there, else a new one.
    pub fn take_any(&mut self, place: usize, url: &str) -> u16 {
        match self.links.iter().find(|link| link.url == url && !url.is_empty()) {
            Some(link) => link.slot,
            None => self.push(place, url, "text"),
        }
    }

    fn push(&mut self, place: usize, url: &str, label: &str) -> u16 {
        let slot = u16::try_from(self.links.len() + 1).unwrap_or(PRODUCT_SLOT - 1).min(PRODUCT_SLOT - 1);
        self.links.push(Link { slot, url: url.to_owned(), label: label.to_owned() });
        self.places.push(place);
        slot
    }
}

/// One piece of a source that is replaced: what stood at `at` becomes `with`.
pub struct Patch {
    pub at: Range<usize>,
    pub with: String,
}

/// `source` with its patches applied; they are in order and do not overlap.
pub fn apply(source: &str, patches: &[Patch]) -> String {
    let mut out = String::with_capacity(source.len() + patches.len() * 16);
    let mut from = 0;
    for patch in patches {
        out.push_str(&source[from..patch.at.start]);
        out.push_str(&patch.with);
        from = patch.at.end;
    }
    out.push_str(&source[from..]);
    out
}

/// Where byte `at` of the patched text stood in the source.
pub fn back(patches: &[Patch], at: usize) -> usize {
    let mut shift = 0_isize;
    for patch in patches {
        let start = patch.at.start as isize + shift;
        if (at as isize) < start + patch.with.len() as isize {
            let within = at as isize - start;
            return if within >= 0 { patch.at.start } else { (at as isize - shift) as usize };
        }
        shift += patch.with.len() as isize - patch.at.len() as isize;
    }
    (at as isize - shift) as usize
}

/// Most sealed links of a mail were made.
pub fn too_many_sealed(made: usize) -> bool {
    made >= SEALED_MAX
}
