//! What comes back is taken in: only what carries our own token settles a message or stops mail, everything else is
//! kept.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{Sink, header};

/// A report about the mail with this head, as another mail system writes it.
fn report(address: &str, head: &str, status: &str, words: &str) -> String {
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: bounce@shop.example\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\n\r\nIt failed.\r\n\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {address}\r\n\
         Action: failed\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {words}\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{head}\r\n--b--\r\n"
    )
}

/// A complaint, its address redacted as many are.
fn complaint(head: &str) -> String {
    format!(
        "From: fbl@mail.example\r\nTo: fbl@shop.example\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\n\r\nspam\r\n--b\r\n\
         Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\r\n--b\r\n\
         Content-Type: text/rfc822-headers\r\n\r\n{head}\r\n--b--\r\n"
    )
}

fn ingest(campaign: &Campaign, name: &str, mail: &str) -> Value {
    campaign.home.write(name, mail);
    campaign.home.json(&["bounce", "ingest", name])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_own_token_counts() {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(6), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(6);
    let heads: HashMap<String, String> =
        sink.accepted().into_iter().map(|mail| (mail.to[0].clone(), mail.head.clone())).collect();
    let head = |email: &str| heads.get(email).unwrap_or_else(|| panic!("no mail to {email}")).clone();
    let suppressed = |email: &str| campaign.home.json(&["member", "show", email])["suppressions"].clone();

    let dead = "m1@post.example";
    let invented = "From: offers@shop.example\r\nMessage-ID: <1234@shop.example>\r\nSubject: Hello";
    let forged = ingest(&campaign, "forged.eml", &report(dead, invented, "5.1.1", "550 5.1.1 no such user"));
    assert_eq!((forged["effect"].as_str(), &forged["ours"]), (Some("kept"), &Value::Null));
    assert_eq!(suppressed(dead), Value::Array(vec![]), "anybody can write a bounce");

    let mail = report(dead, &head(dead), "5.1.1", "550 5.1.1 no such user");
    let taken = ingest(&campaign, "dead.eml", &mail);
    assert_eq!((taken["kind"].as_str(), taken["effect"].as_str()), (Some("dsn"), Some("suppressed")), "{taken}");
    assert_eq!(taken["recipients"][0]["class"], "invalid_address");
    assert_eq!(suppressed(dead)[0]["reason"], "hard_bounce");
    assert_eq!(ingest(&campaign, "dead.eml", &mail)["effect"], "none", "a second report changes nothing");

    let full = "m2@letters.example";
    let taken = ingest(&campaign, "full.eml", &report(full, &head(full), "5.2.2", "552 5.2.2 mailbox full"));
    assert_eq!((taken["effect"].as_str(), suppressed(full)), (Some("bounced"), Value::Array(vec![])), "{taken}");

    let angry = "m3@mail.example";
    let taken = ingest(&campaign, "angry.eml", &complaint(&head(angry)));
    assert_eq!((taken["kind"].as_str(), taken["effect"].as_str()), (Some("arf"), Some("complained")), "{taken}");
    assert_eq!(suppressed(angry)[0]["reason"], "complaint");

    let tired = "m4@post.example";
    let links = header(&head(tired), "List-Unsubscribe").expect("a way out");
    let mailto =
        links.split("mailto:").nth(1).and_then(|rest| rest.split(['?', '>']).next()).expect("an address").to_owned();
    let taken =
        ingest(&campaign, "tired.eml", &format!("From: {tired}\r\nTo: {mailto}\r\nSubject: unsubscribe\r\n\r\n"));
    assert_eq!(taken["effect"], "unsubscribed", "{taken}");

    let report = campaign.home.json(&["campaign", "report", "survival"]);
    assert_eq!((&report["by_state"]["bounced"], &report["by_state"]["sent"]), (&2.into(), &4.into()), "{report}");
    assert_eq!((&report["complaints"], &report["rates"]["complained"]), (&1.into(), &0.25.into()), "{report}");
    let words = campaign.home.done(&["campaign", "report", "survival"]).stdout;
    assert!(words.contains("complaints   1 (25.00 % of the delivered)"), "{words}");
    let consenting = campaign.home.json(&["segment", "count", "consent(\"offers\")"]);
    assert_eq!(consenting["count"], 4, "one complained, one unsubscribed");
    let kept = campaign.home.done(&["bounce", "list", "--json"]).stdout;
    assert_eq!(kept.lines().count(), 1, "{kept}");
    assert!(!daemon.log_text().contains("do not agree with the rows"), "{}", daemon.log_text());
    assert_eq!(daemon.stop(), 0);
}
