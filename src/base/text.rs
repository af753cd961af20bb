//! Text from outside, made fit to keep and to show.

/// `text` without control characters, trimmed and cut to at most `bytes_max` bytes on a character boundary.
pub fn clean(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for c in text.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
    out
}

/// `text` with the local part of every address replaced by its first letter: `a***@example.com`. Server replies quote
/// addresses, and logs and reports must not.
pub fn mask_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let is_local = |c: char| c.is_alphanumeric() || "._%+-=!#$&'*/?^`{|}~".contains(c);
    for c in text.chars() {
        if c == '@' && !word.is_empty() {
            out.extend(word.chars().next());
            out.push_str("***@");
            word.clear();
        } else if is_local(c) {
            word.push(c);
        } else {
            out.push_str(&word);
            word.clear();
            out.push(c);
        }
    }
    out + &word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces_and_length_is_bounded() {
        assert_eq!(clean(" a\r\nb\u{0}c ", 100), "a  b c");
        assert_eq!(clean("привет", 5), "пр");
    }

    #[test]
    fn addresses_lose_their_local_part() {
        assert_eq!(mask_addresses("550 <anna.k@example.com>: no such user"), "550 <a***@example.com>: no such user");
        assert_eq!(mask_addresses("no address here, 5.1.1"), "no address here, 5.1.1");
    }
}
