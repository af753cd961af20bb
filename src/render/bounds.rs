//! What bounds a template. A template has no clock and no fuel, so everything it can repeat is bounded instead: loops
//! by depth and by the length of what they run over, text by a writer that refuses, and string building by rules that
//! [`lint`](super::lint) checks before a version is published. A trial render under the system's own limits on memory
//! and processor time comes on top.

use std::io;

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

/// A buffer that refuses to grow past a size.
pub struct Bounded<'b> {
    pub out: &'b mut Vec<u8>,
    pub bytes_max: usize,
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
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
