//! Mails in one file: an mbox (RFC 4155), or one mail alone.

/// The mails of a file's bytes. In an mbox each begins with a line `From `, after an empty line or at the start.
pub fn mails(bytes: &[u8]) -> Vec<&[u8]> {
    if !bytes.starts_with(b"From ") {
        return vec![bytes];
    }
    let mut starts = vec![0];
    for at in memchr::memmem::find_iter(bytes, b"\nFrom ") {
        let is_after_empty = bytes[..at].ends_with(b"\n") || bytes[..at].ends_with(b"\n\r");
        // The line ends with a date: a sentence that begins with "From" does not.
        let line = bytes[at + 1..].split(|c| *c == b'\n').next().unwrap_or_default();
        let is_dated = line.trim_ascii_end().last().is_some_and(u8::is_ascii_digit);
        if is_after_empty && is_dated {
            starts.push(at + 1);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(from, to)| &bytes[*from..to]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_are_told_apart() {
        let file = b"From a@x Thu Jan  1 00:00:00 2026\nTo: a\n\nwords\n\nFrom here on\n\nFrom b@x Thu Jan  1 00:00:01 2026\nTo: b\n\n";
        let subjects: Vec<usize> = mails(file).iter().map(|mail| mail.len()).collect();
        assert_eq!(subjects.len(), 2, "{subjects:?}");
        assert_eq!(mails(b"To: a\n\nFrom x 1\n").len(), 1);
    }
}
