//! A person is told what a breaker stopped: by mail and by a signed `POST`, once, whatever dies in between.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::both_dbs;
use crate::support::campaign::{Campaign, NAME, people, sections};
use crate::support::daemon::Home;
use crate::support::ear::Ear;
use crate::support::sink::{Accepted, At, Fault, Setup, Sink};
use crate::support::site::execute;

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
    sink_heard(&sink, 1).await;
    daemon.kill();
    assert_eq!(nobody.heard().len(), 0, "it spoke to a stranger");
    let trusted = campaign.home.write("ca.pem", &pem);
    campaign.home.env("SSL_CERT_FILE", &trusted.display().to_string());
    let daemon = campaign.home.start();
    nobody.wait_for(1).await;
    assert_eq!(told(&sink).len(), 1, "the mail is not told again");
    assert_eq!(daemon.stop(), 0);
}

/// Waits for so many mails that tell.
async fn sink_heard(sink: &Sink, mails: usize) {
    let mut n = sink.count();
    while told(sink).len() < mails {
        n += 1;
        sink.wait_for(n).await;
    }
}

fn kinds(ear: &Ear) -> Vec<String> {
    let kind = |body: &str| serde_json::from_str::<Value>(body).expect("JSON")["kind"].as_str().map(str::to_owned);
    let mut kinds: Vec<String> = ear.heard().iter().filter_map(|request| kind(&request.body)).collect();
    kinds.sort();
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_is_told_once() {
    let sink = Sink::start().await;
    sink.away().await;
    let ear = Ear::start(([127, 0, 0, 1], 0).into(), false, &[], "").await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.and_then(|bound| bound.local_addr());
    let port = nobody.expect("a free port").port().to_string();
    let mailbox = "INBOUND__MAILBOX__0";
    let keys = [("PROTOCOL", "imap"), ("HOST", "127.0.0.1"), ("PORT", port.as_str()), ("TLS", "none")];
    let more = [("USERNAME", "bounces"), ("PASSWORD_FILE", "hook.secret"), ("POLL", "20ms")];
    let keys: Vec<(String, &str)> =
        keys.into_iter().chain(more).map(|(key, value)| (format!("{mailbox}__{key}"), value)).collect();
    let mut settings: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    settings.push(("ALERT__AFTER", "300ms"));
    let campaign = campaign(&sink, &format!("http://{}/hook", ear.address), &settings);
    let daemon = campaign.home.start();
    campaign.start(None);
    ear.wait_for(2).await;
    assert_eq!(kinds(&ear), ["route_down", "work_failing"]);
    let texts: String = ear.heard().into_iter().map(|request| request.body).collect();
    for part in ["route out", "Connection refused", "the mailbox imap://bounces@127.0.0.1"] {
        assert!(texts.contains(part), "{part} is not in {texts}");
    }
    assert!(!texts.contains(SECRET), "a password in an alert");
    // It lasts on, and comes again after it was away.
    sink.back().await;
    campaign.until(|shown| shown["state"] == "finished");
    sink_heard(&sink, 2).await;
    assert_eq!(daemon.stop(), 0);
    let daemon = campaign.home.start();
    campaign.until(|_| daemon.log_text().matches("mailbox failed").count() > 1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(kinds(&ear), ["route_down", "work_failing"]);
    assert_eq!(told(&sink).len(), 2, "by mail too, when there is a way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_that_falls_short_says_so_at_its_end() {
    let sink = Sink::start().await;
    let ear = Ear::start(([127, 0, 0, 1], 0).into(), false, &[], "").await;
    let mut everybody = people(50);
    everybody.extend((0..3).map(|n| format!("h{n}+rcpt-451@mail.example")));
    let url = format!("http://{}/hook", ear.address);
    let settings = [("RETRY__TRIES_MAX", "2"), ("ALERT__WEBHOOK_URL", url.as_str())];
    let campaign = Campaign::new(&sink, &everybody, &settings);
    let daemon = campaign.home.start();
    campaign.start(None);
    assert_eq!(campaign.finished(&sink, &daemon).n("failed"), 3);
    ear.wait_for(1).await;
    assert_eq!(kinds(&ear), ["campaign_short"]);
    assert!(ear.heard()[0].body.contains("50 mails were sent, 3 failed"), "{}", ear.heard()[0].body);
    assert_eq!(daemon.stop(), 0);
}

both_dbs! {
    async fn complaints_are_told_of_before_they_pause(test) {
        let sink = Sink::start().await;
        let ear = Ear::start(([127, 0, 0, 1], 0).into(), false, &[], "").await;
        let mut home = match test.db.sqlite_path() {
            Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n{}", test.url, sections(&sink))),
            None => Home::on_postgres(&test.url, &sections(&sink)),
        };
        let url = format!("http://{}/hook", ear.address);
        for (key, value) in [("BREAKER__AFTER", "10"), ("BREAKER__COMPLAINTS", "0.9"), ("ALERT__WEBHOOK_URL", url.as_str())] {
            home.env(&format!("INDICIA__{key}"), value);
        }
        let campaign = Campaign::at(home, &people(30));
        // A third waits, so that the campaign goes on.
        campaign.home.done(&["shaping", "suspend", "post"]);
        let daemon = campaign.home.start();
        campaign.start(None);
        campaign.until(|shown| shown["by_state"]["sent"] == 20);
        execute(&test.db, ["insert into complaint (run_id, message_id, at_ms)
            select run_id, id, 1 from message where state = 'sent' order by id limit 8".to_owned()]).await;
        ear.wait_for(1).await;
        assert_eq!(kinds(&ear), ["complaints"]);
        assert!(ear.heard()[0].body.contains("8 of 20 readers (40.00 %)"), "{}", ear.heard()[0].body);
        assert_eq!(campaign.state(), "sending");
        campaign.home.done(&["shaping", "resume", "post"]);
        campaign.finished(&sink, &daemon).all_sent(30);
        assert_eq!(ear.heard().len(), 1);
        assert_eq!(daemon.stop(), 0);
    }
}
