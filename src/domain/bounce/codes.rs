//! Status codes and the patterns that rules name them by.

/// An enhanced status code (RFC 3463): class, subject, detail.
pub type Enhanced = (u8, u16, u16);

/// The enhanced status code that `text` begins with, `5.1.1` or `5.7.515`.
pub fn read_enhanced(text: &str) -> Option<Enhanced> {
    let class = text.bytes().next().filter(|c| matches!(c, b'2' | b'4' | b'5'))? - b'0';
    let (subject, rest) = number(text[1..].strip_prefix('.')?)?;
    let (detail, rest) = number(rest.strip_prefix('.')?)?;
    let is_more = rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        || rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    (!is_more).then_some((class, subject, detail))
}

/// One to three digits.
fn number(text: &str) -> Option<(u16, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = (1..=3).contains(&digits).then(|| text[..digits].parse().ok())??;
    Some((value, &text[digits..]))
}

/// Which codes a rule means: `5.1.1`, `*.1.1`, `5.7.*`, `5.7.606-649`, or a basic code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    Basic(u16),
    /// Any basic code of a class, `5xx`.
    Class(u16),
    Enhanced {
        class: Option<u8>,
        subject: Option<u16>,
        detail: (u16, u16),
    },
}

const ANY: (u16, u16) = (0, u16::MAX);

impl Pattern {
    pub(super) fn parse(text: &str) -> Option<Pattern> {
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| (2..=5).contains(class)).map(Pattern::Class);
        }
        let mut parts = text.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let class = match class {
            "*" => None,
            class => Some(class.parse().ok().filter(|class| matches!(class, 2 | 4 | 5))?),
        };
        let subject = if subject == "*" { None } else { Some(subject.parse().ok()?) };
        let detail = match detail.split_once('-') {
            _ if detail == "*" => ANY,
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None => (detail.parse().ok()?, detail.parse().ok()?),
        };
        (detail.0 <= detail.1).then_some(Pattern::Enhanced { class, subject, detail })
    }

    pub(super) fn fits(&self, code: Option<u16>, enhanced: Option<Enhanced>) -> bool {
        match (self, enhanced) {
            (Pattern::Basic(basic), _) => code == Some(*basic),
            (Pattern::Class(class), _) => code.is_some_and(|code| code / 100 == *class),
            (Pattern::Enhanced { class, subject, detail }, Some((c, s, d))) => {
                class.is_none_or(|class| class == c)
                    && subject.is_none_or(|subject| subject == s)
                    && (detail.0..=detail.1).contains(&d)
            }
            (Pattern::Enhanced { .. }, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_fit_their_patterns() {
        assert_eq!(read_enhanced("5.1.1 no"), Some((5, 1, 1)));
        assert_eq!(read_enhanced("5.7.515"), Some((5, 7, 515)));
        for text in ["5.1", "3.1.1", "5.1.1.2", "5.1.1a", "5.1234.1", "", "é"] {
            assert_eq!(read_enhanced(text), None, "{text:?}");
        }
        let fits = |pattern: &str, code| Pattern::parse(pattern).unwrap().fits(Some(550), Some(code));
        assert!(fits("5.1.1", (5, 1, 1)) && fits("*.1.1", (4, 1, 1)) && fits("5.7.*", (5, 7, 99)));
        assert!(fits("5.7.606-649", (5, 7, 606)) && !fits("5.7.606-649", (5, 7, 650)) && !fits("4.1.1", (5, 1, 1)));
        assert_eq!([Pattern::parse("5.1"), Pattern::parse("3.1.1"), Pattern::parse("5.7.9-1")], [None; 3]);
    }
}
