//! What mail providers tell: every payload of the corpus means what its owners say, and what is forged, repeated, old
//! or too long changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use data_encoding::{BASE64, HEXLOWER};
use indicia::domain::bounce::{ReplyClass, Rules};
use indicia::inbound::webhook::{Arrived, Event, Key, Provider, Refused, What, prove, read, wanted_certificate};
use indicia::smtp::TlsConfigs;
use indicia::web::public::Certificates;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::campaign::{Campaign, people};
use crate::support::ear::Ear;
use crate::support::sink::Sink;

const SECRET: &str = "a-secret-of-enough-letters";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:mail";
const CERTIFICATE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abc.pem";

/// The corpus' folder, or `None` (said loudly) where it is not.
fn folder() -> Option<PathBuf> {
    let data = std::env::var_os("INDICIA_TEST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let folder = data.join("webhooks");
    if !folder.is_dir() {
        eprintln!("\n*** {} is missing (set INDICIA_TEST_DATA): the webhooks were NOT read ***\n", folder.display());
        return None;
    }
    Some(folder)
}

fn files(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder of the corpus").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let parsed = files.iter().map(|file| {
        let text = std::fs::read_to_string(file).expect("read a payload");
        let name = file.file_stem().unwrap().to_string_lossy();
        (name.rsplit('.').next().unwrap().to_owned(), serde_json::from_str(&text).expect("a payload is JSON"))
    });
    parsed.collect()
}

fn form(fields: impl Iterator<Item = (String, String)>) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
}

/// The body of a file as the provider sends it, with its content type. The corpus leaves envelopes out.
fn body(provider: Provider, file: &Value) -> (Vec<u8>, &'static str) {
    let payloads = &file["payloads"];
    let raw = ["raw_event", "raw_events", "payload", "raw_sns_message"].iter().find_map(|name| payloads.get(name));
    let is_old = provider == Provider::Mailgun && file["test"].as_str().unwrap().contains("Legacy");
    if is_old {
        // What a sender's own data is called stands before Mailgun's fields of the same name.
        let of = |name: &str| payloads[name].as_object().cloned().unwrap_or_default();
        let pairs = of("metadata").into_iter().chain(of("raw_event"));
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return (form(pairs.map(|(name, value)| (name, text(value)))), "application/x-www-form-urlencoded");
    }
    let body = match payloads.get("raw_ses_event") {
        Some(event) => json!({
            "Type": "Notification", "MessageId": "19ba9823-d7f2-53c1-860e-cb10e0d13dfc", "TopicArn": TOPIC,
            "Subject": "Amazon SES Email Event Notification", "Message": event.to_string(),
            "Timestamp": "2018-03-26T17:58:59.675Z", "SignatureVersion": "1",
        }),
        None => raw.expect("a payload").clone(),
    };
    (body.to_string().into_bytes(), "application/json")
}

fn events(provider: Provider, file: &Value) -> Vec<Event> {
    let (body, kind) = body(provider, file);
    read(provider, &Arrived { headers: &[("content-type", kind)], body: &body }).expect("a delivery is read")
}

/// Their words for what happened, in ours.
fn ours(word: &str) -> What {
    match word {
        "queued" | "sent" => What::Accepted,
        "autoresponded" => What::AutoReply,
        "unknown" => What::Other,
        word => word.parse().expect("a word of ours"),
    }
}

/// A text as Python writes it, or `None` where it is another expression.
fn literal(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace("\\n", "\n").replace("\\'", "'"))
}

/// The instant of `datetime(2016, 4, 27, 16, 28, 50, microsecond=396393, tzinfo=…)`, to the second.
fn instant_s(text: &str) -> i64 {
    let inner = text.strip_prefix("datetime(").expect("a datetime");
    let numbers: Vec<i16> = inner.split([',', ')']).map_while(|part| part.trim().parse().ok()).collect();
    let [year, month, day, hour, minute, second] = numbers[..] else { panic!("{text}") };
    let east_h: i64 = match inner.split("fixed_timezone(").nth(1) {
        Some(zone) => zone.split(' ').next().unwrap().parse().expect("hours"),
        None => 0,
    };
    let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|n| n as i8);
    let at = jiff::civil::date(year, month, day).at(hour, minute, second, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    at.timestamp().as_second() - east_h * 3_600
}

/// Compares the events with everything their owners assert of them; gives how many assertions were compared, and how
/// many of them say what happened.
fn agree(name: &str, file: &Value, events: &[Event]) -> (usize, usize) {
    let (mut compared, mut kinds) = (0, 0);
    for assertion in file["anymail_asserts"].as_array().expect("a list of assertions") {
        // What asserts that something is absent has one argument.
        let (Some(what), Some(expected)) = (assertion[1].as_str(), assertion[2].as_str()) else { continue };
        let (nth, field) = match what.split_once("].") {
            Some((head, field)) if head.starts_with("events[") => (head[7..].parse().unwrap(), field),
            _ => (0, what.trim_start_matches("event.")),
        };
        let event: &Event = events.get(nth).unwrap_or_else(|| panic!("{name} has no event {nth}"));
        let text = literal(expected);
        let same = |ours: Option<&str>| assert_eq!(ours, text.as_deref(), "{name}: {what}");
        match field {
            "event_type" => {
                assert_eq!(event.what, ours(&text.unwrap()), "{name}: {what}");
                kinds += 1;
            }
            "recipient" => same(Some(&event.recipient.address)),
            "user_agent" => same(event.agent.as_deref()),
            "click_url" => same(event.url.as_deref()),
            // What the provider says instead of trying is no server's answer to them; to us it is words.
            "mta_response" if text.is_some() => {
                // Line ends and blanks are cleaned.
                let clean = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(clean(&event.recipient.words), clean(&text.unwrap()), "{name}: {what}");
            }
            "timestamp" => assert_eq!(event.at_ms.map(|ms| ms / 1_000), Some(instant_s(expected)), "{name}: {what}"),
            "event_id" if text.is_some() => {
                let id = event.id.as_deref().unwrap_or_default();
                assert!(id.ends_with(text.as_deref().unwrap()), "{name}: {what} is {id}");
            }
            "message_id" if text.is_some() => assert!(event.raw.contains(&text.unwrap()), "{name}: {what}"),
            // Tags, metadata and their own paraphrases we have no use for; the class is compared below.
            _ => continue,
        }
        compared += 1;
    }
    (compared, kinds)
}

/// The class, by our rules, of every event that says a mail did not arrive, and whether its address is dead.
fn classes(provider: Provider) -> BTreeMap<&'static str, (ReplyClass, bool)> {
    use ReplyClass as C;
    const GONE: (ReplyClass, bool) = (C::InvalidAddress, true);
    let table: &[(&str, (ReplyClass, bool))] = match provider {
        Provider::Ses => &[("test_bounce_event", GONE), ("test_reject_event", (C::Spam, false))],
        Provider::SendGrid => &[
            ("test_bounce_event", GONE),
            ("test_deferred_event", (C::RateLimited, false)),
            ("test_dropped_invalid_event", GONE),
            ("test_dropped_unsubscribed_event", (C::RecipientFiltered, false)),
        ],
        Provider::Mailgun => &[
            ("test_alt_smtp_code", GONE),
            // On Mailgun's own list of complaints: nothing is said of this mail.
            ("test_dropped_spam", (C::RecipientFiltered, false)),
            ("test_failed_greylisted_event", (C::RemoteSystem, false)),
            ("test_failed_permanent_event", GONE),
            ("test_invalid_mailbox", GONE),
            ("test_rejected_event", (C::Policy, false)),
        ],
        Provider::Postmark => &[("test_bounce_event", GONE), ("test_subscription_change_bounce", GONE)],
        Provider::Brevo => &[
            // On Brevo's own list.
            ("test_blocked", (C::RecipientFiltered, false)),
            // What is tried again is not dead, whatever it says.
            ("test_deferred_event", (C::InvalidAddress, false)),
            ("test_hard_bounce", GONE),
            ("test_invalid_email", GONE),
        ],
        Provider::SparkPost => &[
            ("test_delay_event", (C::InvalidDomain, false)),
            ("test_generation_failure_event", (C::RemoteSystem, false)),
            // On SparkPost's own list.
            ("test_generation_rejection_event", (C::RecipientFiltered, false)),
        ],
        Provider::UnisenderGo => &[("test_soft_bounced_event", (C::MailboxFull, false))],
        Provider::Aliyun => &[],
    };
    table.iter().copied().collect()
}

#[test]
fn every_payload_yields_its_events() {
    let Some(folder) = folder() else { return };
    let rules = Rules::built_in();
    let folders = [
        ("amazon_ses", Provider::Ses, 7),
        ("sendgrid", Provider::SendGrid, 7),
        ("mailgun", Provider::Mailgun, 10),
        ("postmark", Provider::Postmark, 6),
        ("brevo", Provider::Brevo, 11),
        ("sparkpost", Provider::SparkPost, 9),
        ("unisender_go", Provider::UnisenderGo, 7),
    ];
    let (mut read_files, mut compared) = (0, 0);
    for (name, provider, n) in folders {
        let files = files(&folder.join(name));
        assert_eq!(files.len(), n, "{name}");
        let mut found = BTreeMap::new();
        for (test, file) in &files {
            let events = events(provider, file);
            assert!(!events.is_empty(), "{name}/{test}");
            let (agreed, kinds) = agree(&format!("{name}/{test}"), file, &events);
            // Of two files nobody says what happened: a mail that came in, and a "sent" without its envelope.
            let quiet = matches!(
                test.as_str(),
                "test_incorrect_received_event" | "test_error_includes_project_id_single_event"
            );
            assert_eq!(kinds == 0, quiet, "{name}/{test}: nobody says what happened");
            assert!(
                !quiet || events.iter().all(|event| matches!(event.what, What::Other | What::Accepted)),
                "{name}/{test}"
            );
            compared += agreed;
            for event in &events {
                use What as W;
                if matches!(event.what, W::Bounced | W::Rejected | W::Failed | W::Deferred) {
                    let judged = event.judge(&rules);
                    found.insert(test.as_str(), (judged.class, judged.dead));
                }
            }
            read_files += 1;
        }
        assert_eq!(found, classes(provider), "{name}");
    }
    eprintln!("webhooks: {read_files} files of 7 providers, {compared} assertions of their owners agree");
    assert!(compared > 150, "{compared}");
}

#[test]
fn the_event_of_aliyun_is_read() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("aliyun-directmail-eventbridge.json")).expect("the file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let of = |event: &Value| {
        let body = event.to_string();
        read(Provider::Aliyun, &Arrived { headers: &[], body: body.as_bytes() }).expect("read").remove(0)
    };
    let event = of(&file["sample"]);
    assert_eq!((event.what, event.recipient.address.as_str()), (What::Bounced, "nobody@aliyun.example"));
    assert_eq!((event.id.as_deref(), event.message.as_deref()), (Some("8734hhidu983hi457"), Some("60000000001")));
    assert_eq!(event.at_ms, Some(1_714_360_032_000));
    let judged = event.judge(&Rules::built_in());
    assert_eq!((judged.class, judged.dead), (ReplyClass::InvalidAddress, true));
    assert!(event.raw.contains("our-message-id"));
    let whats = file["event_types"].as_array().unwrap().iter().map(|kind| {
        let mut sample = file["sample"].clone();
        sample["type"] = kind.clone();
        of(&sample).what
    });
    use What as W;
    let expected =
        [W::Delivered, W::Bounced, W::Complained, W::Subscribed, W::Unsubscribed, W::Opened, W::Clicked, W::Other];
    assert_eq!(whats.collect::<Vec<_>>(), expected);
}

/// The keys of the two providers that sign with theirs.
struct Signers {
    rsa: RsaKeyPair,
    ecdsa: EcdsaKeyPair,
}

impl Signers {
    fn new() -> Signers {
        Signers {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            ecdsa: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"),
        }
    }

    /// A certificate of the RSA key, in PEM.
    fn certificate(&self) -> String {
        let der: Pkcs8V1Der = self.rsa.as_der().expect("DER");
        let key =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der.as_ref().into(), &rcgen::PKCS_RSA_SHA256).expect("a key");
        let params = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).expect("parameters");
        let der = params.self_signed(&key).expect("a certificate").der().to_vec();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(&der))
    }

    /// As SendGrid shows it: base64 alone.
    fn verification_key(&self) -> String {
        let der: PublicKeyX509Der = self.ecdsa.public_key().as_der().expect("DER");
        BASE64.encode(der.as_ref())
    }

    /// A message of SNS about this event, signed with SHA-256.
    fn sns(&self, id: &str, topic: &str, at_s: i64, event: &Value) -> String {
        let at = jiff::Timestamp::from_second(at_s).unwrap().strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        let message = event.to_string();
        let signed =
            format!("Message\n{message}\nMessageId\n{id}\nTimestamp\n{at}\nTopicArn\n{topic}\nType\nNotification\n");
        json!({
            "Type": "Notification", "MessageId": id, "TopicArn": topic, "Message": message, "Timestamp": at,
            "SignatureVersion": "2", "Signature": self.rsa(&signed), "SigningCertURL": CERTIFICATE,
        })
        .to_string()
    }

    fn rsa(&self, text: &str) -> String {
        let mut out = vec![0; self.rsa.public_modulus_len()];
        let chance = SystemRandom::new();
        self.rsa.sign(&signature::RSA_PKCS1_SHA256, &chance, text.as_bytes(), &mut out).expect("a signature");
        BASE64.encode(&out)
    }

    /// The two headers of SendGrid over a body.
    fn sendgrid(&self, at_s: i64, body: &str) -> Vec<(String, String)> {
        let signed = format!("{at_s}{body}");
        let tag = self.ecdsa.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        vec![
            ("X-Twilio-Email-Event-Webhook-Signature".to_owned(), BASE64.encode(tag.as_ref())),
            ("X-Twilio-Email-Event-Webhook-Timestamp".to_owned(), at_s.to_string()),
        ]
    }
}

/// Mailgun's event with its signature.
fn mailgun(at_s: i64, token: &str, data: &Value) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), format!("{at_s}{token}").as_bytes());
    let signature = json!({"timestamp": at_s.to_string(), "token": token, "signature": HEXLOWER.encode(tag.as_ref())});
    json!({"signature": signature, "event-data": data}).to_string()
}

const NOW_S: i64 = 1_790_000_000;

fn ses_key(signers: &Signers) -> Key {
    Key::Topic { arn: TOPIC.to_owned(), public: Some(Key::public(&signers.certificate()).expect("a certificate")) }
}

/// Whether a body is taken at a time.
fn proves(provider: Provider, key: &Key, headers: &[(&str, &str)], body: &str, now_s: i64) -> Result<(), Refused> {
    let arrived = Arrived { headers, body: body.as_bytes() };
    prove(provider, key, &arrived, None, now_s * 1_000).map(|_| ())
}

#[test]
fn sns_proves_itself_in_both_versions() {
    let signers = Signers::new();
    let key = ses_key(&signers);
    let at = |body: &str, now_s| proves(Provider::Ses, &key, &[], body, now_s);
    let event = json!({"eventType": "Bounce"});
    let body = signers.sns("1", TOPIC, NOW_S, &event);
    assert_eq!(at(&body, NOW_S), Ok(()));
    assert_eq!(at(&body, NOW_S + 3_000), Ok(()), "SNS tries for an hour, and signs once");
    assert_eq!(at(&body, NOW_S + 7_200), Err(Refused::Stale));
    assert_eq!(at(&body, NOW_S - 600), Err(Refused::Stale));
    assert_eq!(at(&signers.sns("1", "arn:aws:sns:eu-west-1:666:mail", NOW_S, &event), NOW_S), Err(Refused::Topic));
    let other = |from: &str, to: &str| at(&body.replace(from, to), NOW_S);
    assert_eq!(other("Bounce", "Complaint"), Err(Refused::Forged));
    assert_eq!(other("sns.eu-west-1.amazonaws.com", "sns.evil.example"), Err(Refused::Forged));
    assert_eq!(other("\"SignatureVersion\":\"2\"", "\"SignatureVersion\":\"1\""), Err(Refused::Forged));
    assert_eq!(other("\"SignatureVersion\":\"2\"", "\"SignatureVersion\":\"3\""), Err(Refused::Forged));
    assert_eq!(at(&Signers::new().sns("1", TOPIC, NOW_S, &event), NOW_S), Err(Refused::Forged), "another's key");

    // Made with OpenSSL, as this program signs nothing with SHA-1.
    let key = Key::Topic { arn: TOPIC.to_owned(), public: Some(Key::public(OLD_KEY).expect("a key")) };
    let old = |signature: &str| {
        let body = json!({
            "Type": "Notification", "MessageId": "old-1", "TopicArn": TOPIC, "Timestamp": "2026-01-02T03:04:05.000Z",
            "Message": r#"{"notificationType":"Delivery","mail":{"messageId":"1"},"delivery":{"recipients":["a@b.example"]}}"#,
            "SignatureVersion": "1", "Signature": signature, "SigningCertURL": CERTIFICATE,
        });
        proves(Provider::Ses, &key, &[], &body.to_string(), 1_767_323_045)
    };
    assert_eq!(old(OLD_SIGNATURE), Ok(()));
    assert_eq!(old(&OLD_SIGNATURE.replace('A', "B")), Err(Refused::Forged));
}

/// An Amazon of the test's own.
async fn amazon(status: &'static [u16], said: &'static str) -> (Ear, Certificates) {
    let names = ["sns.eu-west-1.amazonaws.com"];
    let ear = Ear::start_as(([127, 0, 0, 1], 0).into(), Some(&names[..]), status, said).await;
    let trusted = [ear.certificate.clone().expect("it speaks TLS")];
    let certificates = Certificates::new(TlsConfigs::none().trusting(&trusted)).at(ear.address);
    (ear, certificates)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_sns_is_fetched_from_amazon_alone() {
    let signers = Signers::new();
    let pem: &'static str = Box::leak(signers.certificate().into_boxed_str());
    let key = Key::Topic { arn: TOPIC.to_owned(), public: None };
    let body = signers.sns("1", TOPIC, NOW_S, &json!({"eventType": "Send"}));
    let wanted = |body: &str| wanted_certificate(&key, &Arrived { headers: &[], body: body.as_bytes() });
    assert_eq!(wanted(&body).as_deref(), Some(CERTIFICATE));
    for other in [
        body.replace("sns.eu-west-1.amazonaws.com", "sns.evil.example"),
        // Amazon's, but of a region that the topic is not in; and a topic that is not ours.
        body.replace("sns.eu-west-1.amazonaws.com", "sns.us-east-1.amazonaws.com"),
        body.replace("123456789012:mail", "666666666666:mail"),
        "{}".to_owned(),
    ] {
        assert_eq!(wanted(&other), None, "{other}");
    }

    let (ear, certificates) = amazon(&[500], pem).await;
    assert!(certificates.key(CERTIFICATE, 0).await.is_err(), "Amazon is in trouble");
    assert!(certificates.key(CERTIFICATE, 1_000).await.is_err());
    assert_eq!(ear.heard().len(), 1, "nobody is asked again so soon");
    let public = certificates.key(CERTIFICATE, 6_000).await.expect("a certificate");
    certificates.key(CERTIFICATE, 7_000).await.expect("it is kept");
    let heard = ear.heard();
    assert_eq!((heard.len(), heard[1].line.as_str()), (2, "GET /SimpleNotificationService-0123abc.pem HTTP/1.1"));
    assert_eq!(heard[1].header("host"), Some("sns.eu-west-1.amazonaws.com"));
    let arrived = Arrived { headers: &[], body: body.as_bytes() };
    assert!(prove(Provider::Ses, &key, &arrived, Some(&public), NOW_S * 1_000).is_ok());
    assert!(prove(Provider::Ses, &key, &arrived, None, NOW_S * 1_000).is_err());

    for said in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let (_ear, certificates) = amazon(&[], said).await;
        assert!(certificates.key(CERTIFICATE, 0).await.is_err(), "{said}");
    }
    let (ear, certificates) = amazon(&[], pem).await;
    assert!(certificates.key("https://sns.evil.example/SimpleNotificationService-1.pem", 0).await.is_err());
    // Whoever cannot prove to be Amazon is not believed.
    let stranger = Certificates::new(TlsConfigs::none().shared()).at(ear.address);
    assert!(stranger.key(CERTIFICATE, 0).await.is_err());
    assert_eq!(ear.heard().len(), 0);
}

const OLD_KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1JFS1nY22zS82PgyR9REuOsnejuQVquOTszAowdnDPtT+QoZuuo4kM/n\
    GTxhwyIjnu/cAPKeH+dTLTbkyiGl822eb/rI0nvlov+ab8LN0QRh11fspF42p98G++tdrEGn03DxryyrUdMB2TKJDNFAqol0dNMv\
    2egcjV9kUqeiWPxSYO1azAFRU0S/hcfWM9PokAV0lQVHVE9BGb0LQezy+dBZyiNHpJWhGFeGAXbmBygieRGkAIDAzBEN0CSbI09V\
    +qy/mZPfvl8J+na8537XktFiWRgYGQ6jzPiqRhxycp1XaD05wMFLLJy0pWcIRMHKt9lEV0v/R0j4ufX8a9rakwIDAQAB";
const OLD_SIGNATURE: &str = "zy/1b5MWFJi1acNAmU/iO+9XvsDuVkCAC/LSo9kafJHUe3gDNIlhdh5pHop3XQKZCBuoFQ90wrhvNMbp/9MFqCMKNRTIje7yHfq0\
    FY0n1+sXJX9DyB8Jy+akKEsL7mk4pN/t7+QbMXRUCZytLX6jAsfvJquCNSgjCpnJFEAcpsiAdL6w3UxMi3sGegf3XkrVHLATC9mA\
    N+i/8awdCYwKNCYHS5ImcL5lP9+aiFnccxCtI4uFNEpSg8TA+2HET8+rBt69/3G1OjAZOopL8GtX39dGg3/e2e3S8AsNm9NuBoMz\
    52QmIfQU438EDtqAee9rfAMGrO8ebaFDeYC0l0ZerQ==";

#[test]
fn whoever_signs_the_body_cannot_be_quoted_wrongly() {
    let signers = Signers::new();
    let key = Key::Public(Key::public(&signers.verification_key()).expect("a key"));
    let body = json!([{"event": "bounce", "email": "a@b.example"}]).to_string();
    let headers = signers.sendgrid(NOW_S, &body);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let at = |headers: &[(&str, &str)], body: &str, now_s| proves(Provider::SendGrid, &key, headers, body, now_s);
    assert_eq!(at(&headers, &body, NOW_S), Ok(()));
    assert_eq!(at(&headers, &body, NOW_S + 301), Err(Refused::Stale));
    assert_eq!(at(&headers, &format!("{body} "), NOW_S), Err(Refused::Forged), "the body as it came counts");
    assert_eq!(at(&headers[..1], &body, NOW_S), Err(Refused::Forged));
    assert_eq!(at(&[], &body, NOW_S), Err(Refused::Forged));
    let later = (NOW_S + 1).to_string();
    assert_eq!(at(&[headers[0], (headers[1].0, &later)], &body, NOW_S), Err(Refused::Forged));

    let secret = Key::secret(SECRET).expect("a secret");
    let api_key = "0123456789abcdef";
    let signed = |auth: &str| format!("{{\"auth\":\"{auth}\",\"events_by_user\":[]}}");
    // MD5 of the body with the API key in place of the proof.
    let body = signed("cc93a0d0a4d4f2ee71e5b4a0be8b1a19");
    assert_eq!(proves(Provider::UnisenderGo, &secret, &[], &body, NOW_S), Err(Refused::Forged));
    let body = signed(UNISENDER_AUTH);
    let unisender = Key::secret(api_key).expect("a secret");
    assert_eq!(proves(Provider::UnisenderGo, &unisender, &[], &body, NOW_S), Ok(()));
    assert_eq!(proves(Provider::UnisenderGo, &unisender, &[], &body.replace("[]", "[ ]"), NOW_S), Err(Refused::Forged));

    let body = mailgun(NOW_S, "once", &json!({"event": "complained"}));
    let at = |body: &str, now_s| proves(Provider::Mailgun, &secret, &[], body, now_s);
    assert_eq!((at(&body, NOW_S), at(&body, NOW_S - 301)), (Ok(()), Err(Refused::Stale)));
    assert_eq!(at(&body.replace("once", "twice"), NOW_S), Err(Refused::Forged));
}

const UNISENDER_AUTH: &str = "406295d049e14d2420db25788c954b23";

#[test]
fn a_secret_is_presented_whole_or_not_at_all() {
    let key = Key::secret(&format!("{SECRET}\n")).expect("a secret");
    let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
    let good = [
        ("authorization", basic(&format!("anybody:{SECRET}"))),
        ("Authorization", format!("Bearer {SECRET}")),
        ("X-Webhook-Token", SECRET.to_owned()),
        ("x-eventbridge-signature-token", SECRET.to_owned()),
    ];
    for provider in [Provider::Postmark, Provider::Brevo, Provider::SparkPost, Provider::Aliyun] {
        for (name, value) in &good {
            assert_eq!(proves(provider, &key, &[(name, value)], "{}", NOW_S), Ok(()), "{provider} {name}");
            let cut = &value[..value.len() - 4];
            assert_eq!(proves(provider, &key, &[(name, cut)], "{}", NOW_S), Err(Refused::Forged), "{provider} {name}");
        }
        assert_eq!(proves(provider, &key, &[], "{}", NOW_S), Err(Refused::Forged));
    }
    assert!(Key::secret("short").is_err() && Key::public("nonsense").is_err());
}

/// Posts a body; gives the status and the answer.
async fn post(address: &str, path: &str, headers: &[(String, String)], body: &str) -> (u16, String) {
    ask(address, "POST", path, headers, body).await
}

async fn ask(address: &str, method: &str, path: &str, headers: &[(String, String)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.expect("the daemon listens");
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("write");
    stream.write_all(body.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"));
    (status, answer)
}

fn now_s() -> i64 {
    indicia::base::World::system().now_ms() / 1_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_daemon_takes_what_proves_itself_once() {
    let signers = Signers::new();
    let sink = Sink::start().await;
    let files = [
        ("ses", "PUBLIC_KEY_FILE", "sns.pem"),
        ("sendgrid", "PUBLIC_KEY_FILE", "sendgrid.key"),
        ("mailgun", "SECRET_FILE", "secret"),
        ("postmark", "SECRET_FILE", "secret"),
    ];
    let settings: Vec<(String, &str)> = files
        .iter()
        .enumerate()
        .flat_map(|(n, (provider, key, file))| {
            let of = move |key: &str| format!("WEBHOOK__{n}__{key}");
            [(of("PROVIDER"), *provider), (of("NAME"), "main"), (of(key), *file)]
        })
        .chain([("WEBHOOK__0__TOPIC_ARN".to_owned(), TOPIC)])
        .collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let campaign = Campaign::new(&sink, &people(8), &settings);
    campaign.home.write("sns.pem", &signers.certificate());
    campaign.home.write("sendgrid.key", &signers.verification_key());
    campaign.home.write("secret", SECRET);
    let daemon = campaign.home.start();
    let http = daemon.url("http").to_owned();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(8);
    let verp = |email: &str| {
        let mail = sink.accepted().into_iter().find(|mail| mail.to[0] == email).expect("a mail");
        mail.from.trim_start_matches("b-").split('@').next().expect("a token").to_owned()
    };
    let reason = |email: &str| {
        let shown = campaign.home.json(&["member", "show", email]);
        shown["suppressions"][0]["reason"].as_str().map(str::to_owned)
    };
    let state =
        |state: &str| campaign.home.json(&["campaign", "report", "survival"])["by_state"][state].as_u64().unwrap_or(0);

    // SES: our Message-ID is among the headers.
    let (dead, now) = ("m0@mail.example", now_s());
    let bounce = |email: &str, token: &str| {
        json!({
            "eventType": "Bounce",
            "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients":
                [{"emailAddress": email, "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]},
            "mail": {"messageId": "x", "headers": [{"name": "Message-ID", "value": format!("<{token}@shop.example>")}]},
        })
    };
    let good = signers.sns("a", TOPIC, now, &bounce(dead, &verp(dead)));
    let forged = good.replace(dead, "m7@post.example");
    let stale = signers.sns("b", TOPIC, now - 8_000, &bounce(dead, &verp(dead)));
    for refused in [&forged, &stale] {
        assert_eq!(post(&http, "/w/ses/main", &[], refused).await.0, 403);
    }
    assert_eq!((state("bounced"), reason(dead)), (0, None), "what is refused changes nothing");
    let (status, answer) = post(&http, "/w/ses/main", &[], &good).await;
    assert!(status == 200 && answer.contains("\"taken\":1"), "{answer}\n{}", daemon.log_text());
    assert_eq!((state("bounced"), reason(dead).as_deref()), (1, Some("hard_bounce")));
    let (status, answer) = post(&http, "/w/ses/main", &[], &good).await;
    assert!(status == 200 && answer.contains("\"repeated\":1"), "{answer}");

    // What happened on the way stands among the mail's attempts, once.
    let fine = "m5@letters.example";
    let arrived = json!({
        "eventType": "Delivery", "delivery": {"recipients": [fine], "smtpResponse": "250 2.6.0 queued as 7 for m5@letters.example"},
        "mail": {"messageId": "x", "headers": [{"name": "Message-ID", "value": format!("<{}@shop.example>", verp(fine))}]},
    });
    let body = signers.sns("d", TOPIC, now, &arrived);
    assert!(post(&http, "/w/ses/main", &[], &body).await.1.contains("\"taken\":1"));
    assert!(post(&http, "/w/ses/main", &[], &body).await.1.contains("\"repeated\":1"));
    let listed = campaign.home.done(&["message", "list", "--campaign", "survival", "--json"]).stdout;
    let row =
        listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row")).find(|row| row["email"] == fine);
    let id = row.expect("a message")["id"].to_string();
    let shown = campaign.home.json(&["message", "show", &id]);
    let told = shown["attempts"].as_array().expect("attempts").clone();
    assert_eq!(told.len(), 1, "{shown}");
    assert_eq!((&told[0]["route"], &told[0]["outcome"]), (&"ses/main".into(), &"delivered".into()), "{shown}");
    let text = told[0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("queued as 7") && !text.contains(fine), "{shown}");
    let report = campaign.home.json(&["campaign", "report", "survival"]);
    assert!(!report["refusals"].to_string().contains("queued as 7"), "a delivery is no refusal: {report}");

    // SendGrid: no token of ours, but an address that we mailed; one that we did not is kept.
    let events = json!([
        {"event": "bounce", "type": "bounce", "email": "M1@post.example", "sg_event_id": "s1", "timestamp": now,
         "reason": "550 5.1.1 user unknown", "status": "5.1.1"},
        {"event": "bounce", "type": "blocked", "email": "m2@letters.example", "sg_event_id": "s2", "timestamp": now,
         "reason": "550 5.7.1 blocked by a list"},
        {"event": "bounce", "type": "bounce", "email": "stranger@elsewhere.example", "sg_event_id": "s3", "timestamp": now,
         "reason": "550 5.1.1 user unknown"},
        {"event": "open", "email": "m3@mail.example", "sg_event_id": "s4", "timestamp": now},
        {"event": "bounce", "type": "bounce", "email": "m3@mail.example", "sg_event_id": "s5", "timestamp": 1_461_095_250,
         "reason": "550 5.1.1 user unknown"},
    ]).to_string();
    let headers = signers.sendgrid(now, &events);
    assert_eq!(post(&http, "/w/sendgrid/main", &headers, &events.replace("M1@", "m6@")).await.0, 403);
    let (status, answer) = post(&http, "/w/sendgrid/main", &headers, &events).await;
    assert!(status == 200 && answer.contains("\"stale\":1"), "{answer}");
    assert_eq!(reason("m1@post.example").as_deref(), Some("hard_bounce"), "{answer}");
    assert_eq!((reason("m2@letters.example"), reason("m3@mail.example")), (None, None), "a block is no death");
    assert_eq!(state("bounced"), 1, "an address alone settles no message");
    let kept = campaign.home.done(&["bounce", "list", "--json"]).stdout;
    assert!(kept.lines().count() == 1 && kept.contains("sendgrid/main"), "{kept}");

    // Mailgun: its signature says nothing of the body, so its token counts once.
    let angry = "m4@post.example";
    let data = |event: &str, email: &str, id: &str| {
        json!({"event": event, "id": id, "timestamp": now, "recipient": email,
        "message": {"headers": {"message-id": format!("{}@shop.example", verp(email))}}})
    };
    let body = mailgun(now, "t1", &data("complained", angry, "e1"));
    assert_eq!(post(&http, "/w/mailgun/main", &[], &body).await.0, 200);
    assert_eq!(reason(angry).as_deref(), Some("complaint"));
    let other = mailgun(now, "t1", &data("complained", "m5@letters.example", "e2"));
    assert_eq!(post(&http, "/w/mailgun/main", &[], &other).await.0, 406, "another body under a known signature");
    assert_eq!(reason("m5@letters.example"), None);

    // Postmark: a secret in Basic.
    let change = json!({"RecordType": "SubscriptionChange", "Recipient": "m6@mail.example", "SuppressSending": true,
        "SuppressionReason": "ManualSuppression"})
    .to_string();
    let basic = |secret: &str| {
        vec![("Authorization".to_owned(), format!("Basic {}", BASE64.encode(format!("x:{secret}").as_bytes())))]
    };
    assert_eq!(post(&http, "/w/postmark/main", &basic("another-secret"), &change).await.0, 403);
    assert_eq!(campaign.home.json(&["segment", "count", "consent(\"offers\")"])["count"], 7);
    assert_eq!(post(&http, "/w/postmark/main", &basic(SECRET), &change).await.0, 200);
    assert_eq!(campaign.home.json(&["segment", "count", "consent(\"offers\")"])["count"], 6);

    let long = "x".repeat(300 << 10);
    assert_eq!(post(&http, "/w/ses/main", &[], &long).await.0, 413);
    assert_eq!(post(&http, "/w/ses/main", &[], "{}").await.0, 403);
    assert_eq!(post(&http, "/w/ses/other", &[], "{}").await.0, 404);
    assert_eq!(post(&http, "/w/brevo/main", &[], "{}").await.0, 404);
    assert_eq!(ask(&http, "GET", "/w/ses/main", &[], "").await.0, 405);
    let log = daemon.log_text();
    assert!(!log.contains(SECRET) && !log.contains(angry), "{log}");
    assert!(!log.contains("do not agree with the rows"), "{log}");
    assert_eq!(daemon.stop(), 0);
}
