//! An email address, parsed once at the door.

use aws_lc_rs::hmac;
use lettre::Address;

/// Longest address, octets (RFC 5321 §4.5.3.1: local part 64, path 256 with its angle brackets).
pub const ADDRESS_BYTES_MAX: usize = 254;

/// An address that may be mailed: syntax checked, the domain folded to its A-label (UTS 46), the local part as given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email {
    text: String,
    at: usize,
}

/// Why a text is no address we can mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("is empty")]
    Empty,
    #[error("has no @")]
    NoAt,
    #[error("has an empty local part (before the @)")]
    EmptyLocalPart,
    #[error("has a local part longer than 64 octets")]
    LocalPartTooLong,
    #[error("has a local part that no mail server takes: {0:?}")]
    LocalPart(String),
    #[error("has a local part outside ASCII, which needs SMTPUTF8")]
    LocalPartNotAscii,
    #[error("has a domain that is no host name: {0:?}")]
    Domain(String),
    #[error("is longer than 254 octets")]
    TooLong,
}

impl Email {
    /// Parses an address as people and exports write it; surrounding white space is ignored. Quoted local parts,
    /// comments and address literals (RFC 5322's odder forms) are refused: no member list means them.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that starts with the field's name.
    pub fn parse(text: &str) -> Result<Email, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        check_local_part(local)?;
        let domain = fold_domain(domain)?;
        let folded = format!("{local}@{domain}");
        if folded.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Email { at: local.len(), text: folded })
    }

    /// The address as it is mailed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain as its lower-case A-label.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The lower-cased form under which an address is one and the same.
    pub fn folded(&self) -> String {
        self.text.to_lowercase()
    }

    /// As an envelope address of `lettre`.
    pub fn envelope(&self) -> Address {
        Address::new(self.local_part(), self.domain()).expect("stricter than lettre's own check")
    }
}

fn check_local_part(local: &str) -> Result<(), AddressError> {
    if local.is_empty() {
        return Err(AddressError::EmptyLocalPart);
    }
    if local.len() > 64 {
        return Err(AddressError::LocalPartTooLong);
    }
    if !local.is_ascii() {
        return Err(AddressError::LocalPartNotAscii);
    }
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    let dot_atom = local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom));
    if dot_atom { Ok(()) } else { Err(AddressError::LocalPart(local.to_owned())) }
}

fn fold_domain(domain: &str) -> Result<String, AddressError> {
    let refused = || AddressError::Domain(domain.to_owned());
    let ascii = idna::domain_to_ascii_strict(domain.trim_end_matches('.')).map_err(|_| refused())?;
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let labels: Vec<&str> = ascii.split('.').collect();
    let named = labels.len() >= 2 && labels.iter().all(|part| label(part));
    let numeric_end = labels.last().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
    if named && !numeric_end { Ok(ascii) } else { Err(refused()) }
}

/// The secret under which a database hashes addresses, so that a stolen suppression list cannot be read by trying.
#[derive(Clone)]
pub struct AddrSecret(hmac::Key);

impl AddrSecret {
    pub fn new(bytes: [u8; 32]) -> AddrSecret {
        AddrSecret(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// The key of an address: 63 bits of HMAC-SHA-256 over its folded form. What `member`, `message` and
    /// `suppression` join by.
    pub fn key(&self, email: &Email) -> i64 {
        self.hash(&email.folded())
    }

    /// 63 bits of HMAC-SHA-256 over any text.
    pub fn hash(&self, text: &str) -> i64 {
        let tag = hmac::sign(&self.0, text.as_bytes());
        i64::from_be_bytes(tag.as_ref()[..8].try_into().expect("eight bytes of a tag")) & i64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_parse_and_fold() {
        let email = Email::parse(" Anna.K+shop@Пример.example ").unwrap();
        assert_eq!(email.as_str(), "Anna.K+shop@xn--e1afmkfd.example");
        assert_eq!(email.folded(), "anna.k+shop@xn--e1afmkfd.example");
        assert_eq!(email.domain(), "xn--e1afmkfd.example");
        let secret = AddrSecret::new([1; 32]);
        assert_eq!(secret.key(&email), secret.key(&Email::parse("ANNA.K+SHOP@пример.example").unwrap()));
        assert_eq!(email.envelope().to_string(), email.as_str());
    }

    #[test]
    fn what_no_server_takes_is_refused_with_its_reason() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("anna", AddressError::NoAt),
            ("@example.com", AddressError::EmptyLocalPart),
            ("a..b@example.com", AddressError::LocalPart("a..b".into())),
            ("a b@example.com", AddressError::LocalPart("a b".into())),
            ("анна@example.com", AddressError::LocalPartNotAscii),
            ("a@localhost", AddressError::Domain("localhost".into())),
            ("a@-x.example", AddressError::Domain("-x.example".into())),
            ("a@1.2.3.4", AddressError::Domain("1.2.3.4".into())),
            ("a@exa mple.com", AddressError::Domain("exa mple.com".into())),
            ("a@b\r\nBcc: x@example.com", AddressError::LocalPart("a@b\r\nBcc: x".into())),
        ] {
            assert_eq!(Email::parse(text), Err(error), "{text:?}");
        }
    }
}
