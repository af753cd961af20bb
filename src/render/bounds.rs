//! What bounds a template. A template has no clock and no fuel, so everything it can repeat is bounded instead: loops
//! by depth and by the length of what they run over, text by a writer that refuses, and string building by rules that
//! [`lint`](super::lint) checks before a version is published. A mail of a run has a deadline besides. A trial render
//! under the system's own limits on memory and processor time comes on top.

use std::io;

use crate::base::World;

/// Final HTML, after links: refused above (Gmail clips near 102 KB, and pixel and unsubscribe link vanish).
pub const HTML_BYTES_MAX: usize = 100 * 1024;
/// Final HTML: a warning above.
pub const HTML_BYTES_WARN: usize = 80 * 1024;
/// The text part.
pub const TEXT_BYTES_MAX: usize = 100 * 1024;
/// Subject and preheader, each.
pub const LINE_BYTES_MAX: usize = 1000;
/// What a template file may hold.
pub const SOURCE_BYTES_MAX: usize = 512 * 1024;
/// Locales of one template.
pub const PARTS_MAX: usize = 40;
/// Loops within loops.
pub const LOOP_DEPTH_MAX: usize = 2;
/// What one `range()` may hold, and what all of a mail's may hold together.
pub const RANGE_MAX: i64 = 200;
pub const RANGE_TOTAL_MAX: i64 = 10_000;
/// Products of one block.
pub const PRODUCTS_MAX: usize = 24;
/// Calls of `products()` in one mail.
pub const PRODUCT_CALLS_MAX: usize = 20;
/// `~` in one file: each may at most add up its operands.
pub const JOINS_MAX: usize = 40;
/// `set` in one file.
pub const SETS_MAX: usize = 40;
/// Links of one version.
pub const LINKS_MAX: usize = 500;
/// Sealed links of one mail.
pub const SEALED_MAX: usize = 200;
/// A profile's text value, as a template sees it.
pub const VALUE_BYTES_MAX: usize = 1000;
/// Output before links are written, which makes it longer or shorter.
pub const RAW_BYTES_MAX: usize = 256 * 1024;

/// How long one mail may take to render, milliseconds: thousands of times what a good one takes.
pub const RENDER_MS_MAX: i64 = 2_000;
/// How often the clock is looked at: a mail is written in some hundreds of pieces.
const WRITES_A_LOOK: u32 = 32;

/// The moment at which a rendering must have ended; without a clock there is none.
#[derive(Debug, Clone, Copy)]
pub struct Deadline<'w>(Option<(&'w World, i64)>);

impl<'w> Deadline<'w> {
    /// `ms` from now, if there is a clock to tell.
    pub fn within(clock: Option<&'w World>, ms: i64) -> Deadline<'w> {
        Deadline(clock.map(|clock| (clock, clock.boot_ms() + ms)))
    }

    /// Whether it is over. An error of its own kind, as a writer gives it.
    pub fn keep(&self) -> io::Result<()> {
        match self.0 {
            Some((clock, at_ms)) if clock.boot_ms() > at_ms => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

/// A buffer that refuses to grow past a size, or past a moment.
pub struct Bounded<'b> {
    out: &'b mut Vec<u8>,
    bytes_max: usize,
    deadline: Deadline<'b>,
    writes: u32,
}

impl<'b> Bounded<'b> {
    pub fn new(out: &'b mut Vec<u8>, bytes_max: usize, deadline: Deadline<'b>) -> Bounded<'b> {
        Bounded { out, bytes_max, deadline, writes: 0 }
    }
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.out.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.writes += 1;
        if self.writes.is_multiple_of(WRITES_A_LOOK) {
            self.deadline.keep()?;
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
