//! DKIM signatures (RFC 6376, 8301, 8463): RSA and Ed25519, relaxed/relaxed, over a mail that is composed.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64;

use super::canonical::{body_hash, field_into, fields_and_body, name_of};

/// Signed once more than they are there, so that nobody can add another one: what readers and mail programs go by.
const OVERSIGNED: [&str; 9] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];
/// Signed where they are there.
const SIGNED: [&str; 7] = [
    "Message-ID",
    "Content-Transfer-Encoding",
    "List-Id",
    "Feedback-ID",
    "CFBL-Address",
    "CFBL-Feedback-ID",
    "Auto-Submitted",
];
/// Smallest RSA key that receivers must not refuse and that is no risk (RFC 8301 §3.2), bits.
pub const RSA_BITS_MIN: usize = 2_048;
/// Characters of a signature on one line.
const LINE: usize = 72;

/// Why a key does not sign. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    #[error("is neither an RSA nor an Ed25519 private key")]
    Key,
    #[error("is an RSA key of {bits} bits; receivers want {RSA_BITS_MIN} or more")]
    Short { bits: usize },
    #[error("the mail could not be signed with the key of selector {selector:?}")]
    Sign { selector: String },
}

/// A private key.
pub enum Secret {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.algorithm())
    }
}

impl Secret {
    /// A key in PKCS#8, of either kind.
    ///
    /// # Errors
    /// What is no such key, or too short.
    pub fn pkcs8(der: &[u8]) -> Result<Secret, DkimError> {
        match RsaKeyPair::from_pkcs8(der) {
            Ok(key) => Secret::long_enough(key),
            Err(_) => Ed25519KeyPair::from_pkcs8(der).map(Secret::Ed25519).map_err(|_| DkimError::Key),
        }
    }

    /// An RSA key in PKCS#1.
    ///
    /// # Errors
    /// What is no such key, or too short.
    pub fn pkcs1(der: &[u8]) -> Result<Secret, DkimError> {
        Secret::long_enough(RsaKeyPair::from_der(der).map_err(|_| DkimError::Key)?)
    }

    fn long_enough(key: RsaKeyPair) -> Result<Secret, DkimError> {
        match key.public_modulus_len() * 8 {
            bits if bits < RSA_BITS_MIN => Err(DkimError::Short { bits }),
            _ => Ok(Secret::Rsa(key)),
        }
    }

    /// As the `a=` of signatures has it.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Secret::Rsa(_) => "rsa-sha256",
            Secret::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// The record that publishes this key at `SELECTOR._domainkey.DOMAIN` (RFC 6376 §3.6.1, RFC 8463 §4).
    pub fn record(&self) -> String {
        match self {
            Secret::Rsa(key) => format!("v=DKIM1; k=rsa; p={}", BASE64.encode(&public_info(key))),
            Secret::Ed25519(key) => format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(key.public_key().as_ref())),
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Secret::Rsa(key) => {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut out).ok()?;
                Some(out)
            }
            // RFC 8463 §3: the hash is what is signed.
            Secret::Ed25519(key) => Some(key.try_sign(digest(&SHA256, text).as_ref()).ok()?.as_ref().to_vec()),
        }
    }
}

fn public_info(key: &RsaKeyPair) -> Vec<u8> {
    let der: Result<PublicKeyX509Der<'_>, _> = key.public_key().as_der();
    der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
}

/// A key of a domain under its selector, and when it signs.
#[derive(Debug)]
pub struct DkimKey {
    pub domain: String,
    pub selector: String,
    pub secret: Secret,
    /// It signs from here on, milliseconds.
    pub not_before_ms: i64,
    /// And no longer from here on.
    pub retire_ms: i64,
}

impl DkimKey {
    fn is_current(&self, now_ms: i64) -> bool {
        (self.not_before_ms..self.retire_ms).contains(&now_ms)
    }
}

/// Every key there is, or those of one domain; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Signers(Arc<[Arc<DkimKey>]>);

impl Signers {
    pub fn new(keys: Vec<DkimKey>) -> Signers {
        Signers(keys.into_iter().map(Arc::new).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys for mail from `domain`: its own, else those of the nearest domain above it (DMARC's relaxed alignment).
    pub fn of(&self, domain: &str) -> Signers {
        let mut rest = Some(domain);
        while let Some(domain) = rest {
            let own: Vec<_> = self.0.iter().filter(|key| key.domain.eq_ignore_ascii_case(domain)).cloned().collect();
            if !own.is_empty() {
                return Signers(own.into());
            }
            rest = domain.split_once('.').map(|(_, above)| above);
        }
        Signers::default()
    }

    /// What signs now: of each algorithm the key that began last.
    pub fn current(&self, now_ms: i64) -> impl Iterator<Item = &DkimKey> {
        ["rsa-sha256", "ed25519-sha256"].into_iter().filter_map(move |algorithm| {
            let able = self.0.iter().filter(|key| key.secret.algorithm() == algorithm && key.is_current(now_ms));
            able.max_by_key(|key| key.not_before_ms).map(AsRef::as_ref)
        })
    }

    /// Puts the signatures of the current keys before a mail's head. RSA takes most of a millisecond: call it off the
    /// threads that do I/O.
    ///
    /// # Errors
    /// When a key fails; the mail is then as it was.
    pub fn sign(&self, mail: &mut Vec<u8>, now_ms: i64) -> Result<(), DkimError> {
        let signatures = self.signatures(mail, now_ms)?;
        mail.splice(0..0, signatures);
        Ok(())
    }

    fn signatures(&self, mail: &[u8], now_ms: i64) -> Result<Vec<u8>, DkimError> {
        let mut keys = self.current(now_ms).peekable();
        let mut out = Vec::with_capacity(2_048);
        if keys.peek().is_none() {
            return Ok(out);
        }
        let (fields, body) = fields_and_body(mail);
        let hash = BASE64.encode(body_hash(body).as_ref());
        let mut signed = Vec::with_capacity(4_096);
        let names = signed_into(&mut signed, &fields);
        let shared = signed.len();
        for key in keys {
            let from = out.len();
            let DkimKey { domain, selector, secret, .. } = key;
            let head = format!(
                "DKIM-Signature: v=1; a={}; c=relaxed/relaxed; d={domain};\r\n s={selector}; t={};\r\n h={names};\r\n \
                 bh={hash};\r\n b=",
                secret.algorithm(),
                now_ms.div_euclid(1_000),
            );
            out.extend_from_slice(head.as_bytes());
            signed.truncate(shared);
            field_into(&mut signed, &out[from..]);
            let signature = secret.sign(&signed).ok_or_else(|| DkimError::Sign { selector: selector.clone() })?;
            let signature = BASE64.encode(&signature);
            let lines: Vec<&str> =
                (0..signature.len()).step_by(LINE).map(|at| &signature[at..(at + LINE).min(signature.len())]).collect();
            out.extend_from_slice(lines.join("\r\n ").as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Ok(out)
    }
}

/// Appends the relaxed form of every field that is signed, each with its CRLF, and gives their names as `h=` lists
/// them: of several with one name the last goes first (RFC 6376 §5.4.2).
fn signed_into(out: &mut Vec<u8>, fields: &[&[u8]]) -> String {
    let (mut names, mut column) = (String::with_capacity(400), 0);
    let mut list = |name: &str| {
        if !names.is_empty() {
            names.push(':');
        }
        if column + name.len() > LINE {
            names.push_str("\r\n  ");
            column = 0;
        }
        names.push_str(name);
        column += name.len() + 1;
    };
    let all = OVERSIGNED.iter().map(|name| (name, true)).chain(SIGNED.iter().map(|name| (name, false)));
    for (name, once_more) in all {
        for field in fields.iter().rev().filter(|field| name_of(field).eq_ignore_ascii_case(name.as_bytes())) {
            list(name);
            field_into(out, field);
            out.extend_from_slice(b"\r\n");
        }
        if once_more {
            list(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(domain: &str, selector: &str, not_before_ms: i64, retire_ms: i64) -> DkimKey {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let secret = Secret::pkcs8(der.as_ref()).unwrap();
        DkimKey { domain: domain.into(), selector: selector.into(), secret, not_before_ms, retire_ms }
    }

    #[test]
    fn keys_follow_one_another_by_selector() {
        let signers = Signers::new(vec![key("a.example", "old", 0, 200), key("a.example", "new", 100, i64::MAX)]);
        let at = |now_ms| signers.current(now_ms).map(|key| key.selector.as_str()).collect::<Vec<_>>();
        assert_eq!([at(0), at(99), at(100), at(250)], [["old"], ["old"], ["new"], ["new"]]);
        assert!(at(-1).is_empty());
    }

    #[test]
    fn a_domain_without_keys_takes_those_of_the_domain_above() {
        let signers = Signers::new(vec![key("brand.example", "s", 0, 9), key("news.brand.example", "n", 0, 9)]);
        let of = |domain| signers.of(domain).current(1).map(|key| key.selector.clone()).collect::<Vec<_>>();
        assert_eq!([of("news.brand.example"), of("shop.brand.example")], [["n"], ["s"]]);
        assert!(signers.of("otherbrand.example").is_empty());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(Secret::pkcs8(b"nothing").unwrap_err(), DkimError::Key);
        let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        assert!(Secret::long_enough(key).unwrap().record().starts_with("v=DKIM1; k=rsa; p=MIIBIjANBg"));
    }
}
