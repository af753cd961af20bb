//! Sealed tokens: what stands in the links of a mail, in its pixel and in its envelope sender.
//!
//! A token names a message and nothing else about its reader. Layout, 35 bytes:
//! `version and key id 1 | run 4 | message 8 | slot 2 | product 4 | MAC 16`. The MAC is HMAC-SHA-256 cut to 128 bits
//! (RFC 2104 §5) over the [`Use`] and the first 19 bytes, so a pixel's token opens no unsubscribe page.
//! In links it is written in base64url without padding, in envelope senders in lower-case base32, because local parts
//! get case-folded on their way.

use aws_lc_rs::{aead, constant_time, hmac};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};

const VERSION: u8 = 1;
const HEAD_LEN: usize = 19;
const MAC_LEN: usize = 16;
const TOKEN_LEN: usize = HEAD_LEN + MAC_LEN;
/// Longest destination a sealed link may carry, bytes.
pub const SEALED_URL_BYTES_MAX: usize = 1500;

/// What a token may be used for; part of the MAC, so that uses are not interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Use {
    Click = 1,
    Open = 2,
    Unsubscribe = 3,
    Preferences = 4,
    WebVersion = 5,
    Verp = 6,
    Stamp = 7,
    Confirm = 8,
}

/// What a token says. `run` 0 is a preview: such a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token {
    pub run: u32,
    pub message: i64,
    /// Which link of the template version; 0 where the use has no links.
    pub slot: u16,
    /// The product behind the link; 0 for none.
    pub product: u32,
}

impl Token {
    pub fn of(run: u32, message: i64) -> Token {
        Token { run, message, ..Token::default() }
    }

    fn head(&self, key_id: u8) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        head[0] = VERSION << 4 | (key_id & 0x0f);
        head[1..5].copy_from_slice(&self.run.to_be_bytes());
        head[5..13].copy_from_slice(&self.message.to_be_bytes());
        head[13..15].copy_from_slice(&self.slot.to_be_bytes());
        head[15..19].copy_from_slice(&self.product.to_be_bytes());
        head
    }

    fn read(head: &[u8]) -> Token {
        Token {
            run: u32::from_be_bytes(head[1..5].try_into().expect("four bytes")),
            message: i64::from_be_bytes(head[5..13].try_into().expect("eight bytes")),
            slot: u16::from_be_bytes(head[13..15].try_into().expect("two bytes")),
            product: u32::from_be_bytes(head[15..19].try_into().expect("four bytes")),
        }
    }
}

/// Why a token was refused. One answer for every cause: who guesses learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of our tokens")]
pub struct Forged;

/// One signing key. Its id, 0..=15, stands in every token it made.
struct Key {
    id: u8,
    mac: hmac::Key,
    seal: aead::LessSafeKey,
}

/// The keys that make and open tokens: the first makes them, every one opens its own.
pub struct Keyring {
    keys: Vec<Key>,
}

/// Bytes of one key file.
pub const KEY_BYTES: usize = 32;

impl Keyring {
    /// A ring of `(id, secret)`; the first is the one that seals.
    ///
    /// # Panics
    /// When the list is empty or an id is above 15: configuration is checked before.
    pub fn new(secrets: &[(u8, [u8; KEY_BYTES])]) -> Keyring {
        assert!(!secrets.is_empty(), "a keyring needs a key");
        let keys = secrets.iter().map(|(id, secret)| {
            assert!(*id <= 15, "key ids are 0..=15");
            let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let derived = hmac::sign(&master, b"indicia sealed link");
            let seal = aead::UnboundKey::new(&aead::AES_256_GCM_SIV, derived.as_ref()).expect("a 32-byte key");
            Key { id: *id, mac: master, seal: aead::LessSafeKey::new(seal) }
        });
        Keyring { keys: keys.collect() }
    }

    /// The token for `usage`, in base64url: 47 characters.
    pub fn seal(&self, usage: Use, token: &Token) -> String {
        BASE64URL_NOPAD.encode(&self.bytes(usage, token))
    }

    /// Appends the token for `usage` in base64url to `out`.
    pub fn seal_into(&self, usage: Use, token: &Token, out: &mut String) {
        BASE64URL_NOPAD.encode_append(&self.bytes(usage, token), out);
    }

    /// The token in lower-case base32, 56 characters, for local parts.
    pub fn seal_local_part(&self, usage: Use, token: &Token) -> String {
        BASE32_NOPAD.encode(&self.bytes(usage, token)).to_ascii_lowercase()
    }

    /// Opens a token written by [`Keyring::seal`].
    ///
    /// # Errors
    /// [`Forged`] for anything this ring did not make for `usage`.
    pub fn open(&self, usage: Use, text: &str) -> Result<Token, Forged> {
        let mut bytes = [0; TOKEN_LEN];
        if text.len() != BASE64URL_NOPAD.encode_len(TOKEN_LEN) {
            return Err(Forged);
        }
        BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| Forged)?;
        self.verify(usage, &bytes)
    }

    /// Opens a token written by [`Keyring::seal_local_part`], in any letter case.
    ///
    /// # Errors
    /// [`Forged`] for anything this ring did not make for `usage`.
    pub fn open_local_part(&self, usage: Use, text: &str) -> Result<Token, Forged> {
        if text.len() != BASE32_NOPAD.encode_len(TOKEN_LEN) || !text.is_ascii() {
            return Err(Forged);
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| Forged)?;
        self.verify(usage, &bytes)
    }

    /// A click token that carries its destination sealed (AES-256-GCM-SIV, RFC 8452, the head as associated data):
    /// for links that are personalised outside product blocks. The nonce comes from head and destination, which
    /// GCM-SIV allows to repeat, so a retry writes the same link.
    pub fn seal_link(&self, token: &Token, url: &str) -> String {
        let key = &self.keys[0];
        let head = token.head(key.id);
        let nonce = nonce(key, &head, url.len());
        let mut body = url.as_bytes().to_vec();
        key.seal
            .seal_in_place_append_tag(nonce, aead::Aad::from(head), &mut body)
            .expect("destinations are far below the cipher's limit");
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(&body);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Opens a link written by [`Keyring::seal_link`].
    ///
    /// # Errors
    /// [`Forged`] for anything else.
    pub fn open_link(&self, text: &str) -> Result<(Token, String), Forged> {
        if text.len() > BASE64URL_NOPAD.encode_len(TOKEN_LEN + SEALED_URL_BYTES_MAX) {
            return Err(Forged);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Forged)?;
        if bytes.len() <= TOKEN_LEN {
            return Err(Forged);
        }
        let (head, body) = bytes.split_at(HEAD_LEN);
        let head: [u8; HEAD_LEN] = head.try_into().expect("split at the head");
        let key = self.key_of(head[0])?;
        let mut body = body.to_vec();
        let nonce = nonce(key, &head, body.len() - MAC_LEN);
        let url = key.seal.open_in_place(nonce, aead::Aad::from(head), &mut body).map_err(|_| Forged)?;
        let url = String::from_utf8(url.to_vec()).map_err(|_| Forged)?;
        Ok((Token::read(&head), url))
    }

    fn bytes(&self, usage: Use, token: &Token) -> [u8; TOKEN_LEN] {
        let key = &self.keys[0];
        let head = token.head(key.id);
        let mut bytes = [0; TOKEN_LEN];
        bytes[..HEAD_LEN].copy_from_slice(&head);
        bytes[HEAD_LEN..].copy_from_slice(&mac(key, usage, &head));
        bytes
    }

    fn verify(&self, usage: Use, bytes: &[u8]) -> Result<Token, Forged> {
        let (head, given) = bytes.split_at(HEAD_LEN);
        let key = self.key_of(head[0])?;
        constant_time::verify_slices_are_equal(&mac(key, usage, head), given).map_err(|_| Forged)?;
        Ok(Token::read(head))
    }

    fn key_of(&self, first: u8) -> Result<&Key, Forged> {
        if first >> 4 != VERSION {
            return Err(Forged);
        }
        self.keys.iter().find(|key| key.id == first & 0x0f).ok_or(Forged)
    }
}

fn mac(key: &Key, usage: Use, head: &[u8]) -> [u8; MAC_LEN] {
    let mut input = [0; HEAD_LEN + 1];
    input[0] = usage as u8;
    input[1..].copy_from_slice(head);
    let tag = hmac::sign(&key.mac, &input);
    tag.as_ref()[..MAC_LEN].try_into().expect("a tag is longer than a MAC")
}

fn nonce(key: &Key, head: &[u8], len: usize) -> aead::Nonce {
    let mut input = head.to_vec();
    input.extend_from_slice(&len.to_be_bytes());
    let tag = hmac::sign(&key.mac, &input);
    aead::Nonce::try_assume_unique_for_key(&tag.as_ref()[..aead::NONCE_LEN]).expect("a nonce of the right length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring() -> Keyring {
        Keyring::new(&[(2, [7; KEY_BYTES]), (1, [9; KEY_BYTES])])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_what_was_touched_does_not(
            run in any::<u32>(), message in any::<i64>(), slot in any::<u16>(), product in any::<u32>(), at in 0usize..35, bit in 0u8..8,
        ) {
            let token = Token { run, message, slot, product };
            let sealed = ring().seal(Use::Click, &token);
            prop_assert_eq!(sealed.len(), 47);
            prop_assert_eq!(ring().open(Use::Click, &sealed), Ok(token));
            prop_assert_eq!(ring().open(Use::Open, &sealed), Err(Forged));
            let mut bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(ring().open(Use::Click, &BASE64URL_NOPAD.encode(&bytes)), Err(Forged));
            let local = ring().seal_local_part(Use::Verp, &token);
            prop_assert!(local.len() <= 62);
            prop_assert_eq!(ring().open_local_part(Use::Verp, &local.to_uppercase()), Ok(token));
        }

        #[test]
        fn nothing_invented_opens(text in "\\PC{0,80}") {
            prop_assert_eq!(ring().open(Use::Click, &text), Err(Forged));
            prop_assert_eq!(ring().open_local_part(Use::Verp, &text), Err(Forged));
            prop_assert_eq!(ring().open_link(&text), Err(Forged));
        }

        #[test]
        fn a_sealed_link_keeps_its_destination(url in "https://[a-z]{1,20}\\.example/[a-z0-9?=&]{0,200}", message in any::<i64>()) {
            let token = Token::of(3, message);
            let sealed = ring().seal_link(&token, &url);
            prop_assert_eq!(ring().open_link(&sealed), Ok((token, url)));
        }
    }

    #[test]
    fn an_old_key_still_opens() {
        let old = Keyring::new(&[(1, [9; KEY_BYTES])]);
        let sealed = old.seal(Use::Unsubscribe, &Token::of(1, 2));
        assert_eq!(ring().open(Use::Unsubscribe, &sealed), Ok(Token::of(1, 2)));
    }
}
