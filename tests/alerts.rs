//! A person is told what a breaker stopped: by mail and by a signed `POST`, once, whatever dies in between.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::support::campaign::{Campaign, NAME, people};
use crate::support::ear::Ear;
use crate::support::sink::{Accepted, At, Fault, Setup, Sink};

const SLOW: f64 = 60.0;
const SECRET: &str = "a secret of the tests";
const OPS: &str = "ops@shop.example";

async fn sink_that_finds_fault() -> Sink {
    let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
    sink.script(Fault::say(At::Dot, "550 5.7.26 this mail is unauthenticated: SPF and DKIM failed").times(1));
    sink
}

fn campaign(sink: &Sink, url: &str, more: &[(&str, &str)]) -> Campaign {
    let ways = [("ALERT__MAIL", OPS), ("ALERT__WEBHOOK_URL", url), ("ALERT__WEBHOOK_SECRET_FILE", "hook.secret")];
    let campaign = Campaign::new(sink, &people(200), &[&ways, more].concat());
    campaign.home.write("hook.secret", &format!("{SECRET}\n"));
    campaign
}

fn told(sink: &Sink) -> Vec<Accepted> {
    sink.accepted().into_iter().filter(|mail| mail.to[0] == OPS).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_named_hears_why_and_what_to_do() {
    let sink = sink_that_finds_fault().await;
    let ear = Ear::start(([127, 0, 0, 1], 0).into(), false, &[503], "").await;
    let campaign = campaign(&sink, &format!("http://{}/hook?key=1", ear.address), &[]);
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    // The first was refused.
    ear.wait_for(2).await;
    campaign.until(|shown| shown["state"] == "paused");
    let heard = ear.heard();
    for request in &heard {
        assert_eq!(request.line, "POST /hook?key=1 HTTP/1.1");
        let signed = request.header("x-indicia-signature").expect("it is signed");
        let (at, tag) = signed.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("t=…,v1=…");
        let tag = HEXLOWER.decode(tag.as_bytes()).expect("hexadecimal");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let text = format!("{at}.{}", request.body);
        assert!(hmac::verify(&key, text.as_bytes(), &tag).is_ok(), "{signed}");
    }
    assert_eq!(heard[0].body, heard[1].body, "it is the same event");
    let event: Value = serde_json::from_str(&heard[1].body).expect("JSON");
    assert_eq!((&event["kind"], &event["about"]), (&"campaign_paused".into(), &NAME.into()));
    let text = event["text"].as_str().unwrap_or_default();
    assert!(text.contains("DKIM or DMARC") && text.contains("indicia doctor"), "{event}");

    campaign.home.done(&["campaign", "resume", NAME]);
    campaign.until(|shown| shown["state"] == "finished");
    let mails = told(&sink);
    assert_eq!((mails.len(), ear.heard().len()), (1, 2), "once is enough");
    let bytes = mails[0].mail.clone().expect("bodies are kept");
    let mail = mail_parser::MessageParser::default().parse(&bytes).expect("a mail");
    assert_eq!(mail.subject(), Some("Campaign survival was paused by itself"));
    assert!(mail.body_text(0).is_some_and(|text| text.contains("indicia doctor")), "{mail:?}");
    assert!(!mails[0].head.contains("List-Unsubscribe"), "{}", mails[0].head);
    assert_eq!(daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_told_is_told_by_the_next_daemon_over_tls() {
    let sink = sink_that_finds_fault().await;
    // A port where nobody listens yet.
    let nobody = Ear::start(([127, 0, 0, 1], 0).into(), true, &[], "").await;
    let (port, certificate) = (nobody.address.port(), nobody.certificate.clone().expect("it speaks TLS"));
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(&certificate));
    let url = format!("https://localhost:{port}/hook");
    let mut campaign = campaign(&sink, &url, &[]);
    // Its certificate is nobody's whom this machine trusts.
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    campaign.until(|shown| shown["state"] == "paused");
    sink_heard(&sink).await;
    daemon.kill();
    assert_eq!(nobody.heard().len(), 0, "it spoke to a stranger");
    let trusted = campaign.home.write("ca.pem", &pem);
    campaign.home.env("SSL_CERT_FILE", &trusted.display().to_string());
    let daemon = campaign.home.start();
    nobody.wait_for(1).await;
    assert_eq!(told(&sink).len(), 1, "the mail is not told again");
    assert_eq!(daemon.stop(), 0);
}

/// Waits for the mail that tells.
async fn sink_heard(sink: &Sink) {
    let mut n = sink.count();
    while told(sink).is_empty() {
        n += 1;
        sink.wait_for(n).await;
    }
}
