//! `indicia doctor` asks what receivers will ask, against a DNS server of the test's own.

use serde_json::Value;

use crate::support::contract::Contract;
use crate::support::daemon::Home;
use crate::support::dkim::{Key, verify};
use crate::support::dns::Zone;
use crate::support::sink::{Setup, Sink};

const HOST: [u8; 4] = [192, 0, 2, 7];

fn config(sink: &Sink, dns: std::net::SocketAddr, public_url: &str) -> String {
    format!(
        "public_url = \"{public_url}\"\n[dns]\nservers = [\"{dns}\"]\n\
         [[sender]]\nname = \"offers\"\nfrom = \"Shop <offers@news.shop.example>\"\n\
         bounce_domain = \"b.news.shop.example\"\npostal_address = \"1 Street\"\n\
         [[dkim]]\ndomain = \"shop.example\"\nselector = \"e1\"\nkey_file = \"e1.pem\"\n\
         [[route]]\nname = \"out\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nhello_name = \"out.shop.example\"\n",
        sink.port()
    )
}

/// A home whose configuration begins with keys of `[http]`.
fn home(sections: &str, key: &Key) -> Home {
    let home = Home::new("");
    home.write(
        "indicia.toml",
        &format!("[admin]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n{sections}"),
    );
    home.write("e1.pem", &key.pem());
    home
}

fn examined(home: &Home, code: i32, more: &[&str]) -> Value {
    let ran = home.run(&[&["doctor", "--json"], more].concat());
    assert_eq!(ran.code, code, "{}{}", ran.stderr, ran.stdout);
    let value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    Contract::read().judge("doctor", &value);
    value
}

fn some(value: &Value, list: &str, words: &[&str]) {
    let items = value[list].as_array().expect("a list");
    let says = |item: &Value| words.iter().all(|word| item.to_string().contains(word));
    assert!(items.iter().any(says), "no {words:?} in {value:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_house_is_sound_and_its_mail_arrives_signed() {
    let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
    let key = Key::ed25519();
    let record = key.secret().record();
    let dns = Zone::default()
        .txt("b.news.shop.example", "v=spf1 include:relay.example -all")
        .txt("relay.example", "v=spf1 ip4:192.0.2.0/24 -all")
        .txt("e1._domainkey.shop.example", &record)
        .txt("_dmarc.shop.example", "v=DMARC1; p=reject; rua=mailto:d@shop.example")
        .mx("b.news.shop.example", "mx.shop.example")
        .mx("news.shop.example", "mx.shop.example")
        .a("out.shop.example", HOST)
        .ptr(HOST, "out.shop.example")
        .serve();
    let home = home(&config(&sink, dns, "https://t.shop.example"), &key);
    let found = examined(&home, 0, &["--send-to", "me@shop.example"]);
    assert_eq!(
        (&found["ok"], &found["faults"], &found["warnings"]),
        (&true.into(), &serde_json::json!([]), &serde_json::json!([]))
    );
    for part in ["spf", "dkim", "dmarc", "mx", "ptr", "routes", "unsubscribe", "send"] {
        some(&found, "sound", &[&format!("\"part\":\"{part}\"")]);
    }
    let taken = sink.accepted();
    assert_eq!((taken.len(), &taken[0].to[..]), (1, &["me@shop.example".to_owned()][..]));
    let mail = taken[0].mail.clone().expect("it is kept");
    let Some(told) = verify(&[mail], &[("e1._domainkey.shop.example", record)]) else { return };
    assert_eq!(told, [[true]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_found_with_its_fix() {
    let sink = Sink::start().await;
    let (key, other) = (Key::ed25519(), Key::ed25519());
    let many: String = (0..11).map(|n| format!("exists:{n}.example ")).collect();
    let dns = Zone::default()
        .txt("b.news.shop.example", "v=spf1 include:relay.example +all")
        .txt("relay.example", &format!("v=spf1 {many}-all"))
        .txt("e1._domainkey.shop.example", &other.secret().record())
        .txt("_dmarc.news.shop.example", "v=DMARC1; p=none; pct=20; adkim=s; aspf=s")
        .mx("b.news.shop.example", ".")
        .a("out.shop.example", HOST)
        .ptr(HOST, "elsewhere.example")
        .serve();
    let home = home(&config(&sink, dns, "http://t.shop.example"), &key);
    let found = examined(&home, 1, &[]);
    some(&found, "faults", &["spf", "+all", "end it with"]);
    some(&found, "faults", &["spf", "costs 12 lookups"]);
    some(&found, "faults", &["dkim", "another key", &key.secret().record()]);
    some(&found, "warnings", &["dmarc", "p=none"]);
    some(&found, "warnings", &["dmarc", "pct=20, which RFC 9989 took away"]);
    some(&found, "faults", &["dmarc", "aligns"]);
    some(&found, "faults", &["mx", "null MX"]);
    some(&found, "faults", &["mx", "news.shop.example", "no MX record"]);
    some(&found, "faults", &["ptr", "192.0.2.7 does not point back"]);
    some(&found, "faults", &["unsubscribe", "no HTTPS address"]);
    assert_eq!(sink.count(), 0, "nothing is sent unasked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_publishes_is_told_with_the_record_to_publish() {
    let sink = Sink::start().await;
    let key = Key::ed25519();
    let home = home(&config(&sink, Zone::default().serve(), "https://t.shop.example"), &key);
    let found = examined(&home, 1, &[]);
    some(&found, "faults", &["spf", "has no SPF record", "v=spf1"]);
    some(&found, "faults", &["dkim", "there is no record of this key", &key.secret().record()]);
    some(&found, "faults", &["dmarc", "publish a TXT record at _dmarc.news.shop.example"]);
    some(&found, "faults", &["ptr", "has no address"]);
}
