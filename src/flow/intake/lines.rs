//! A file as lines of UTF-8: byte order marks, other encodings, bounded memory whatever the file holds.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::IntakeError;

/// Longest row, bytes: a row is read into memory whole.
pub const ROW_BYTES_MAX: usize = 64 * 1024;
/// Most lines of one file: a bound on how long one command can run away.
pub const FILE_LINES_MAX: u64 = 200_000_000;
const CHUNK_BYTES: usize = 64 * 1024;

/// The lines of a file, numbered from 1, decoded.
pub struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    line: u64,
    /// What bytes that mean nothing in the encoding were turned into, if the text is not the file's own.
    lossy: Option<&'static str>,
}

/// What was read for one line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its end.
    Text(String),
    /// A line that no reader of it should see, and why.
    Broken(String),
}

impl Lines {
    /// Opens `path`. `encoding` is a WHATWG label (`gb18030`, `windows-1251`, …); without one the file is UTF-8, or
    /// UTF-16 where it begins with that mark. `read_bytes` counts what was read of the file.
    ///
    /// # Errors
    /// A file that does not open, an encoding nobody knows.
    pub fn open(path: &Path, encoding: Option<&str>, read_bytes: Arc<AtomicU64>) -> Result<Lines, IntakeError> {
        let failed = |source| IntakeError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::other("it is a folder")));
        }
        Lines::of(Box::new(Counted { file, read_bytes }), encoding)?.map_err(failed)
    }

    fn of(input: Box<dyn Read + Send>, encoding: Option<&str>) -> Result<io::Result<Lines>, IntakeError> {
        let named = match encoding {
            None => None,
            Some(label) => Some(
                Encoding::for_label(label.as_bytes())
                    .ok_or_else(|| IntakeError::Encoding { label: label.to_owned() })?,
            ),
        };
        Ok(Lines::start(input, named))
    }

    fn start(input: Box<dyn Read + Send>, named: Option<&'static Encoding>) -> io::Result<Lines> {
        let mut input = BufReader::with_capacity(CHUNK_BYTES, input);
        let (marked, mark) = match input.fill_buf()? {
            [0xef, 0xbb, 0xbf, ..] => (Some(UTF_8), 3),
            [0xff, 0xfe, ..] => (Some(UTF_16LE), 2),
            [0xfe, 0xff, ..] => (Some(UTF_16BE), 2),
            _ => (None, 0),
        };
        // A mark says more than an option: nobody writes one by accident.
        let encoding = if mark > 0 { marked } else { named }.unwrap_or(UTF_8);
        input.consume(mark);
        if encoding == UTF_8 {
            return Ok(Lines { input, line: 0, lossy: None });
        }
        let decoded: Box<dyn Read + Send> = Box::new(Decoded::new(input, encoding.new_decoder_without_bom_handling()));
        Ok(Lines { input: BufReader::with_capacity(CHUNK_BYTES, decoded), line: 0, lossy: Some(encoding.name()) })
    }

    /// The first byte that is no white space, without taking anything.
    pub fn first_byte(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.iter().copied().find(|c| !c.is_ascii_whitespace()))
    }

    /// The next line and its number. `None` at the end.
    ///
    /// # Errors
    /// What the file's reading fails with, and a file of more than [`FILE_LINES_MAX`] lines.
    pub fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        let mut bytes = Vec::with_capacity(256);
        let read = (&mut self.input).take(ROW_BYTES_MAX as u64 + 2).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.line > FILE_LINES_MAX {
            return Err(io::Error::other(format!("it has more than {FILE_LINES_MAX} lines: split it")));
        }
        let whole = bytes.last() == Some(&b'\n');
        if whole {
            bytes.pop();
            bytes.pop_if(|c| *c == b'\r');
        } else if bytes.len() > ROW_BYTES_MAX {
            self.skip_to_end_of_line()?;
        }
        if bytes.len() > ROW_BYTES_MAX {
            return Ok(Some((self.line, Line::Broken(format!("is longer than {ROW_BYTES_MAX} bytes")))));
        }
        Ok(Some((self.line, self.decoded(bytes))))
    }

    fn decoded(&self, bytes: Vec<u8>) -> Line {
        match String::from_utf8(bytes) {
            Ok(text) => match self.lossy {
                Some(name) if text.contains('\u{fffd}') => {
                    Line::Broken(format!("holds bytes that mean nothing in {name}"))
                }
                _ => Line::Text(text),
            },
            Err(error) => {
                let at = error.utf8_error().valid_up_to() + 1;
                Line::Broken(format!("is not UTF-8 (byte {at} of the line): save it as UTF-8, or name its --encoding"))
            }
        }
    }

    fn skip_to_end_of_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = memchr::memchr(b'\n', buffer);
            let used = end.map_or(buffer.len(), |at| at + 1);
            let done = end.is_some() || buffer.is_empty();
            self.input.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}

struct Counted {
    file: File,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Reads UTF-8 out of another encoding, piece by piece.
struct Decoded<R> {
    input: R,
    decoder: Decoder,
    text: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Decoded<R> {
    fn new(input: R, decoder: Decoder) -> Decoded<R> {
        Decoded { input, decoder, text: Vec::new(), at: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let raw = self.input.fill_buf()?;
        let last = raw.is_empty();
        self.text.resize(CHUNK_BYTES, 0);
        let (result, used, written, _) = self.decoder.decode_to_utf8(raw, &mut self.text, last);
        self.input.consume(used);
        self.text.truncate(written);
        self.at = 0;
        self.ended = last && result == CoderResult::InputEmpty;
        Ok(())
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() && !self.ended {
            self.refill()?;
        }
        let n = buffer.len().min(self.text.len() - self.at);
        buffer[..n].copy_from_slice(&self.text[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], encoding: Option<&str>) -> Vec<(u64, Line)> {
        let mut lines = Lines::of(Box::new(io::Cursor::new(bytes.to_vec())), encoding).unwrap().unwrap();
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn marks_ends_and_encodings_are_read_away() {
        let text = |n, text: &str| (n, Line::Text(text.to_owned()));
        assert_eq!(all(b"\xef\xbb\xbfa\r\nb\n\nc", None), [text(1, "a"), text(2, "b"), text(3, ""), text(4, "c")]);
        assert_eq!(all(b"\xff\xfea\0\n\0b\0", None), [text(1, "a"), text(2, "b")]);
        assert_eq!(all(b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("windows-1251")), [text(1, "Привет")]);
        assert_eq!(all(b"\xb1\xf9\xcf\xe4", Some("gb18030")), [text(1, "冰箱")]);
    }

    #[test]
    fn a_broken_line_breaks_alone() {
        let lines = all(b"a\n\xff\nb\n", None);
        assert!(matches!(&lines[1], (2, Line::Broken(why)) if why.contains("--encoding")), "{lines:?}");
        assert_eq!(lines[2], (3, Line::Text("b".into())));
        let mut long = vec![b'x'; 3 * ROW_BYTES_MAX];
        long.extend_from_slice(b"\nb\n");
        let lines = all(&long, None);
        assert!(matches!(&lines[0], (1, Line::Broken(_))));
        assert_eq!(lines[1], (2, Line::Text("b".into())));
    }
}
