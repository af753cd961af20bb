//! Fuzzing of what reads mails, webhooks and tokens from outside: damaged ones and plain nonsense. The number asked for
//! is of mails, and again of deliveries and of tokens.
//!
//! `cargo bench --bench fuzz -- 1000000 [SEED]` prints one JSON line; a panic ends it with the seed of the input.
//! Without the corpus (INDICIA_TEST_DATA) it begins from a few mails of its own.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use data_encoding::BASE64;
use indicia::base::token::{Keyring, Token, Use};
use indicia::domain::bounce::Rules;
use indicia::inbound::webhook::{self, Arrived, EVENTS_MAX, Key, Provider};
use indicia::inbound::{RECIPIENTS_MAX, Reader, tokens};
use serde_json::{Value, json};

/// Inputs when no number is given.
const INPUTS: u64 = 20_000;
/// Larger mails of the corpus are left out: they cost time and teach little.
const BYTES_MAX: usize = 16 * 1024;
const OWN: [&str; 2] = [
    "From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n<a@b.example>:\n550 5.1.1 no such user\n\n--- Below this line is a copy of the message.\n\nFrom: c@d.example\nTo: a@b.example\nSubject: x\n\nwords\n",
    "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.2.2\n--b--\n",
];

const OWN_DELIVERY: &str = "{\"event\":\"hard_bounce\",\"email\":\"a@b.example\",\"ts_epoch\":1790000000000,\"auth\":\"0123456789abcdef0123456789abcdef\"}";

/// A small generator of its own (SplitMix64): the same seed, the same inputs.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let data = std::env::var_os("INDICIA_TEST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let folders = ["sisimai", "flanker", "ordinary"].map(|name| data.join("bounces").join(name));
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    paths.sort();
    let mails = paths.iter().filter_map(|path| std::fs::read(path).ok()).filter(|mail| mail.len() <= BYTES_MAX);
    OWN.iter().map(|mail| mail.as_bytes().to_vec()).chain(mails).collect()
}

/// What providers tell, as they send it, with who tells it.
fn deliveries() -> Vec<(Provider, Vec<u8>)> {
    let data = std::env::var_os("INDICIA_TEST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let mut found = Vec::new();
    for provider in Provider::ALL {
        let folder = if *provider == Provider::Ses { "amazon_ses" } else { provider.as_str() };
        let entries = std::fs::read_dir(data.join("webhooks").join(folder)).into_iter().flatten().flatten();
        for entry in entries {
            let Some(file) = std::fs::read(entry.path()).ok() else { continue };
            let Ok(file) = serde_json::from_slice::<Value>(&file) else { continue };
            let payloads = file["payloads"].as_object().into_iter().flat_map(|all| all.values());
            found.extend(payloads.map(|payload| {
                let body = match *provider {
                    Provider::Ses => json!({"Type": "Notification", "MessageId": "1", "Message": payload.to_string()}),
                    _ => payload.clone(),
                };
                (*provider, body.to_string().into_bytes())
            }));
        }
        found.push((*provider, OWN_DELIVERY.as_bytes().to_vec()));
    }
    found
}

/// Reads a delivery as every provider's, with every kind of key. Gives how many events it has; none may prove itself.
fn tell(provider: Provider, keys: &[Key], body: &[u8], rules: &Rules) -> usize {
    let signature = BASE64.encode(&body[..body.len().min(70)]);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", signature.as_str()),
        ("x-twilio-email-event-webhook-signature", &signature),
        ("x-twilio-email-event-webhook-timestamp", "1790000000"),
    ];
    let is_form = body.first() != Some(&b'{') && body.first() != Some(&b'[');
    let arrived = Arrived { headers: &headers[usize::from(!is_form)..], body };
    for key in keys {
        assert!(
            webhook::prove(provider, key, &arrived, None, 1_790_000_000_000).is_err(),
            "nothing invented proves itself"
        );
    }
    let events = webhook::read(provider, &arrived).unwrap_or_default();
    let dead = events.iter().filter(|event| event.judge(rules).dead).count();
    // A certificate is read before it is trusted.
    let certificate = webhook::certificate_key(body).is_some();
    assert!(dead <= events.len() && events.len() <= EVENTS_MAX);
    events.len() + usize::from(certificate)
}

/// Texts as links, pixels and envelope senders bear them, each with what it says.
fn sealed(keys: &Keyring) -> Vec<(Vec<u8>, Token)> {
    let tokens = (1..50).map(|n| Token { run: n, message: i64::from(n) << 33, slot: n as u16, product: n * 7 });
    let texts = tokens.flat_map(|token| {
        let link = keys.seal_link(&token, "https://shop.example/p/1?from=mail");
        let others = [keys.seal(Use::Click, &token), keys.seal_local_part(Use::Verp, &token)];
        [link].into_iter().chain(others).map(move |text| (text.into_bytes(), token))
    });
    texts.collect()
}

/// Reads a text as every kind of token. Gives how many it is; a damaged one says what a whole one said, or nothing.
fn open(keys: &Keyring, text: &str, whole: &[(Vec<u8>, Token)]) -> usize {
    let local_part = keys.open_local_part(Use::Verp, text);
    let opened = [keys.open(Use::Click, text), local_part, keys.open_link(text).map(|(token, _)| token)];
    let said: Vec<Token> = opened.into_iter().flatten().chain(tokens::in_text(text, keys)).collect();
    assert!(said.iter().all(|token| whole.iter().any(|(_, known)| known == token)), "nothing invented is a token");
    said.len()
}

/// One input: a mail damaged a few times, spliced with another, or nonsense.
fn input(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    if dice.below(20) == 0 {
        return (0..dice.below(400)).map(|_| dice.next() as u8).collect();
    }
    let mut mail = corpus[dice.below(corpus.len())].clone();
    for _ in 0..1 + dice.below(8) {
        let (at, other) = (dice.below(mail.len()), dice.below(mail.len()));
        match dice.below(6) {
            _ if mail.is_empty() => mail.push(dice.next() as u8),
            0 => mail[at] = dice.next() as u8,
            1 => mail.swap(at, other),
            2 => mail.truncate(at.max(mail.len() / 4)),
            3 => drop(mail.drain(at.min(other)..at.max(other).min(at.min(other) + 300))),
            4 => mail[at] = b"\n\r:;@<>=?\"-. "[dice.below(13)],
            _ => {
                let from = &corpus[dice.below(corpus.len())];
                let start = dice.below(from.len());
                let piece = &from[start..from.len().min(start + dice.below(400))];
                mail.splice(at..at, piece.iter().copied());
            }
        }
    }
    mail
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (inputs, seed) = (numbers.first().copied().unwrap_or(INPUTS), numbers.get(1).copied().unwrap_or(1));
    let (corpus, reader, rules, keys) = (corpus(), Reader::default(), Rules::built_in(), Keyring::new(&[(1, [7; 32])]));
    let told = deliveries();
    let bodies: Vec<Vec<u8>> = told.iter().map(|(_, body)| body.clone()).collect();
    let secret = || Key::secret("a-secret-of-enough-letters").expect("a secret");
    let topic = Key::Topic { arn: "arn:aws:sns:x".to_owned(), public: Some(vec![7; 300]) };
    let hooks = [secret(), Key::Public(vec![4; 65]), topic];
    let mut dice = Dice(seed);
    let whole = sealed(&keys);
    let texts: Vec<Vec<u8>> = whole.iter().map(|(text, _)| text.clone()).collect();
    let (mut named, mut events, mut opened) = (0, 0, 0);
    for nth in 0..inputs {
        let at = dice.0;
        let mail = input(&corpus, &mut dice);
        let read = std::panic::catch_unwind(|| {
            let read = reader.read(&mail);
            let found = tokens::find(&mail, &[], &keys);
            let judged = read.recipients.iter().filter(|one| one.judge(&rules).dead).count();
            (read.recipients.len(), judged, found.message.is_some())
        });
        let Ok((recipients, _, is_ours)) = read else { panic!("input {nth} of seed {seed} (state {at}) broke it") };
        assert!(recipients <= RECIPIENTS_MAX && !is_ours, "input {nth} of seed {seed} (state {at})");
        named += u64::from(recipients > 0);
        let (at, body) = (dice.0, input(&bodies, &mut dice));
        let provider = Provider::ALL[dice.below(Provider::ALL.len())];
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| tell(provider, &hooks, &body, &rules)));
        let Ok(n) = read else { panic!("delivery {nth} of seed {seed} (state {at}) broke it") };
        events += n;
        let (at, text) = (dice.0, input(&texts, &mut dice));
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| open(&keys, &String::from_utf8_lossy(&text), &whole)));
        let Ok(n) = read else { panic!("token {nth} of seed {seed} (state {at}) broke it") };
        opened += n;
    }
    println!(
        "{{\"name\":\"fuzz\",\"inputs\":{inputs},\"seed\":{seed},\"mails\":{},\"named_recipients\":{named},\"deliveries\":{inputs},\"events\":{events},\"tokens\":{inputs},\"opened\":{opened},\"panics\":0,\"pass\":true}}",
        corpus.len()
    );
}
