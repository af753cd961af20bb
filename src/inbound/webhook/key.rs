//! What a hook is checked with: a secret shared with the provider, or its public key. Every comparison takes the same
//! time whatever was presented.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use aws_lc_rs::{constant_time, digest, hmac};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::{Arrived, Provider};

/// Shortest secret that is taken, bytes.
const SECRET_BYTES_MIN: usize = 12;

/// What is wrong with a key file. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("holds a secret of fewer than {SECRET_BYTES_MIN} characters")]
    Short,
    #[error("holds no public key or certificate, in PEM or base64")]
    NoKey,
}

/// What a hook is checked with.
pub enum Key {
    Secret(Vec<u8>),
    /// A public key: SubjectPublicKeyInfo or what the algorithm calls its own form.
    Public(Vec<u8>),
    /// SNS: the one topic that may speak, and the key of its certificate where that is not fetched.
    Topic {
        arn: String,
        public: Option<Vec<u8>>,
    },
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Key::Secret(_) => "Key::Secret",
            Key::Public(_) => "Key::Public",
            Key::Topic { .. } => "Key::Topic",
        })
    }
}

impl Key {
    /// The secret on the first line of a file.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub fn secret(text: &str) -> Result<Key, KeyFault> {
        let secret = text.lines().next().unwrap_or_default().trim();
        if secret.len() < SECRET_BYTES_MIN { Err(KeyFault::Short) } else { Ok(Key::Secret(secret.into())) }
    }

    /// A public key or a certificate, in PEM or in base64 alone as providers show it.
    ///
    /// # Errors
    /// When it is neither.
    pub fn public(text: &str) -> Result<Vec<u8>, KeyFault> {
        let is_certificate = text.contains("BEGIN CERTIFICATE");
        let body = text.lines().map(str::trim).skip_while(|line| line.is_empty());
        let body = body.skip(usize::from(text.trim_start().starts_with("-----")));
        let body: String = body.take_while(|line| !line.starts_with("-----")).collect();
        let der = BASE64.decode(body.as_bytes()).ok().filter(|der| der.len() > 32).ok_or(KeyFault::NoKey)?;
        if is_certificate { certificate_key(&der).map(<[u8]>::to_vec).ok_or(KeyFault::NoKey) } else { Ok(der) }
    }

    /// Whether this is the kind of key that a provider's hooks are checked with.
    pub fn suits(&self, provider: Provider) -> bool {
        matches!((provider, self), (Provider::Ses, Key::Topic { .. }) | (Provider::SendGrid, Key::Public(_)))
            || !matches!(provider, Provider::Ses | Provider::SendGrid) && matches!(self, Key::Secret(_))
    }

    /// Whether the secret itself came along: as the password of Basic, as a bearer's, or in a header of its own.
    pub(super) fn is_presented(&self, arrived: &Arrived<'_>) -> bool {
        let Key::Secret(secret) = self else { return false };
        let named = ["x-webhook-token", "x-eventbridge-signature-token"].map(|name| arrived.header(name));
        let given = arrived.header("authorization").and_then(authorization);
        let plain = named.into_iter().flatten().map(|text| text.as_bytes().to_vec());
        // Every one is compared: which of them came is no secret, but what they say is.
        plain.chain(given).fold(false, |found, given| same(secret, &given) | found)
    }

    /// Whether `hex` is HMAC-SHA-256 of `message` under the secret.
    pub(super) fn signed(&self, message: &[u8], hex: &str) -> bool {
        let (Key::Secret(secret), Ok(tag)) = (self, HEXLOWER_PERMISSIVE.decode(hex.as_bytes())) else { return false };
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, &tag).is_ok()
    }

    /// The public key, where there is one.
    pub(super) fn public_bytes(&self) -> Option<&[u8]> {
        match self {
            Key::Public(public) => Some(public),
            Key::Topic { public, .. } => public.as_deref(),
            Key::Secret(_) => None,
        }
    }
}

/// The password of `Basic`, or what follows `Bearer`.
fn authorization(text: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = text.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(rest.trim().as_bytes()).ok())??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Whether two texts are the same; hashed first, so that not even their lengths are told.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let hash = |bytes| digest::digest(&digest::SHA256, bytes);
    constant_time::verify_slices_are_equal(hash(a).as_ref(), hash(b).as_ref()).is_ok()
}

/// ECDSA over P-256 with SHA-256, the signature in base64 of DER.
pub fn ecdsa(public: &[u8], message: &[u8], signature: &str) -> bool {
    verify(&signature::ECDSA_P256_SHA256_ASN1, public, message, signature)
}

/// RSA (PKCS#1 v1.5) with SHA-256.
pub fn rsa_sha256(public: &[u8], message: &[u8], signature: &str) -> bool {
    verify(&signature::RSA_PKCS1_2048_8192_SHA256, public, message, signature)
}

/// RSA (PKCS#1 v1.5) with SHA-1, for those who sign as they did in 2010.
pub fn rsa_sha1(public: &[u8], message: &[u8], signature: &str) -> bool {
    verify(&signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public, message, signature)
}

fn verify(algorithm: &'static dyn VerificationAlgorithm, public: &[u8], message: &[u8], signature: &str) -> bool {
    let Ok(signature) = BASE64.decode(signature.trim().as_bytes()) else { return false };
    UnparsedPublicKey::new(algorithm, public).verify(message, &signature).is_ok()
}

/// The public key in an X.509 certificate (RFC 5280 §4.1), as DER of SubjectPublicKeyInfo. The certificate itself is
/// not judged: it is trusted for where it came from.
pub fn certificate_key(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (tag, certificate, _) = item(der)?;
    let (inner_tag, mut rest, _) = item(certificate)?;
    if (tag, inner_tag) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    if rest.first() == Some(&VERSION) {
        rest = item(rest)?.2;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        rest = item(rest)?.2;
    }
    let (tag, _, after) = item(rest)?;
    (tag == SEQUENCE).then(|| &rest[..rest.len() - after.len()])
}

/// The first item of DER: its tag, its content, what follows it.
fn item(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
