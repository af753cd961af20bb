//! The admin listener: health, metrics, the API as it is described, pages that tell the truth, strangers kept out.

use std::net::SocketAddr;
use std::sync::Arc;

use indicia::base::World;
use indicia::base::metrics::Metrics;
use indicia::domain::message::MessageState as S;
use indicia::domain::tagging::Rules;
use indicia::queue::count::Deltas;
use indicia::smtp::listener::{Received, Receiver};
use indicia::smtp::mailbox::{Bounds, Mailbox};
use indicia::store::{Lane, setting};
use indicia::web::Pages;
use indicia::web::admin::{self, AdminState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::db::{TestDb, sqlite};
use crate::support::site::{Answer, NOW_MS, ask, campaign, execute, number};

const MAIL: &str = "From: Shop <a@shop.example>\r\nTo: one@example.com\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><title>x</title></head><body><script>alert(1)</script>\
    <a href=\"http://t.example/c/x\">A kettle</a></body></html>\r\n";

struct Admin {
    test: TestDb,
    address: SocketAddr,
    draining: CancellationToken,
}

impl Admin {
    async fn start() -> Admin {
        let test = sqlite().await;
        campaign(&test.db).await;
        let world = World::seeded(1, NOW_MS);
        let bounds = Bounds { mails_max: 10, bytes_max: 1 << 20 };
        let mailbox = Mailbox::open(&test.folder.path().join("mails"), bounds, world.clone()).unwrap();
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let secret = setting::addr_secret(tx.conn(), &world).await.unwrap();
        let mut deltas = Deltas::default();
        deltas.add(1, 0, S::Sent, None, 3);
        deltas.add(1, 0, S::Skipped, Some("suppressed"), 1);
        deltas.write(tx.conn(), 1).await.unwrap();
        tx.commit().await.unwrap();
        let key = secret.key(&indicia::domain::address::Email::parse("one@example.com").unwrap());
        execute(&test.db, [format!("update member set addr_key = {key} where id = 1")]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, draining) = (listener.local_addr().unwrap(), CancellationToken::new());
        let mail = Received {
            from: "b-1@shop.example".into(),
            to: vec!["One@example.com".into()],
            content: MAIL.as_bytes().to_vec(),
        };
        mailbox.receive(mail).await;
        let state = AdminState {
            db: test.db.clone(),
            world,
            metrics: Metrics::new(),
            pages: Pages::new(),
            secret,
            rules: Arc::new(Rules::embedded()),
            mailbox: Some(Arc::new(mailbox)),
            draining: draining.clone(),
            hosts: vec!["desk.lan".into()],
            extra: Default::default(),
        };
        tokio::spawn(admin::serve(listener, state, CancellationToken::new()));
        Admin { test, address, draining }
    }

    async fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, "Host: 127.0.0.1\r\n", b"").await
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&body(&answer)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn post(&self, path: &str, headers: &str) -> Answer {
        ask(self.address, "POST", path, &format!("Host: 127.0.0.1:80\r\nContent-Length: 0\r\n{headers}"), b"").await
    }
}

/// A body with its chunks put together.
fn body(answer: &Answer) -> Vec<u8> {
    if answer.header("transfer-encoding") != Some("chunked") {
        return answer.body.clone();
    }
    let (mut left, mut whole) = (answer.body.as_slice(), Vec::new());
    while let Some(at) = left.windows(2).position(|two| two == b"\r\n") {
        let n = usize::from_str_radix(std::str::from_utf8(&left[..at]).unwrap(), 16).unwrap();
        whole.extend_from_slice(&left[at + 2..at + 2 + n]);
        left = &left[at + 4 + n..];
    }
    whole
}

#[tokio::test]
async fn every_described_path_answers() {
    let admin = Admin::start().await;
    let description = admin.json("/api/openapi.json").await;
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() >= 12);
    for (path, operations) in paths {
        let path =
            path.replace("{name}", "sale-2026").replace("{act}", "pause").replace("{key}", "1").replace("{id}", "1");
        for (method, operation) in operations.as_object().unwrap() {
            let answer = match method.as_str() {
                "get" => admin.get(&path).await,
                _ => admin.post(&path, "").await,
            };
            let status = answer.status.to_string();
            assert!(
                operation["responses"][&status].is_object(),
                "{method} {path} answered {status}: {}",
                answer.text()
            );
            let kind = operation["responses"]["200"]["content"].as_object().unwrap().keys().next().unwrap().clone();
            let got = answer.header("content-type").unwrap_or_default();
            assert!(answer.status != 200 || got.starts_with(&kind), "{path}: {got}, not {kind}");
        }
    }
}

#[tokio::test]
async fn the_api_tells_what_the_tables_hold() {
    let admin = Admin::start().await;
    let run = admin.json("/api/v1/campaigns/sale-2026").await;
    assert_eq!((&run["state"], &run["by_state"]["sent"], &run["frozen"]), (&"finished".into(), &3.into(), &4.into()));
    assert_eq!(admin.json("/api/v1/campaigns").await[0]["campaign"], "sale-2026");
    assert_eq!(admin.json("/api/v1/campaigns/sale-2026/report").await["reasons"]["suppressed"], 1);
    let member = admin.json("/api/v1/members/ONE@example.com").await;
    assert_eq!((&member["id"], &member["topics"][1]["topic"]), (&1.into(), &"offers".into()));
    assert_eq!(admin.json("/api/v1/members?limit=2").await.as_array().unwrap().len(), 2);
    assert_eq!(admin.json("/api/v1/members?after=2").await[0]["email"], "three@example.com");
    let mails = admin.json("/api/v1/mailbox?to=one@EXAMPLE.com").await;
    assert_eq!((&mails[0]["subject"], mails.as_array().unwrap().len()), (&"Café".into(), 1));
    assert_eq!(admin.json("/api/v1/mailbox?to=two@example.com").await, serde_json::json!([]));
    assert!(admin.json("/api/v1/mailbox/1").await["html"].as_str().unwrap().contains("A kettle"));
    for missing in
        ["/api/v1/campaigns/x", "/api/v1/members/77", "/api/v1/members/x@y.example", "/api/v1/mailbox/9", "/x"]
    {
        let answer = admin.get(missing).await;
        assert_eq!(answer.status, 404, "{missing}");
        assert!(answer.text().contains(r#"{"error":"there is no"#), "{missing}: {}", answer.text());
    }
}

#[tokio::test]
async fn ready_is_not_the_same_as_alive() {
    let admin = Admin::start().await;
    assert_eq!(admin.json("/readyz").await["ready"], true);
    admin.draining.cancel();
    let draining = admin.get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert!(draining.text().contains(r#""draining":true"#));
    assert_eq!(admin.get("/healthz").await.status, 200);
    execute(&admin.test.db, ["drop table setting".to_owned()]).await;
    let broken = admin.get("/readyz").await.text();
    assert!(broken.contains("no such table"), "{broken}");
    assert!(String::from_utf8(body(&admin.get("/metrics").await)).unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn every_page_renders_with_what_it_is_about() {
    let admin = Admin::start().await;
    execute(&admin.test.db, [
        "insert into tag (key, half_life_ms) values ('interest:kettle', 1000)".to_owned(),
        format!("insert into member_tag (tag_id, member_id, lscore, updated_at_ms)
            values (1, 1, {}, {NOW_MS})", 0.000_693_147_180_559_945_3 * (NOW_MS - 1_577_836_800_000) as f64),
        "insert into touch (at_ms, run_id, message_id, member_id, kind, class, slot, product_id, method, agent, ip)
            values (9, 1, 1, 1, 'click', 'human', 0, 1, 'GET', 'x', '::1'), (9, 1, 1, 1, 'click', 'human', 1, null, 'GET', 'x', '::1')".to_owned(),
        "insert into message (run_id, origin, member_id, provider_id, addr_key, state, armed_at_ms, attempt)
            values (1, 9, 2, 1, 999, 'in_doubt', 77, 1)".to_owned(),
        "update run_count set n = n + 1 where state = 'sent'".to_owned(),
        "insert into run_count (run_id, owner, variant, state, why, n) values (1, 1, 0, 'in_doubt', '', 1)".to_owned(),
        "insert into delivery (run_id, message_id, attempt, at_ms, route, stage, outcome, class, code, enhanced, text)
            values (1, 1, 1, 1, 'r', 'rcpt', 'refused', 'user', 550, '5.1.1', 'no <b>such</b> user')".to_owned(),
        "update run set why = 'the disk is full'".to_owned(),
        "insert into complaint (run_id, message_id, at_ms) values (1, 2, 9)".to_owned(),
    ]).await;
    for (path, words) in [
        ("/admin", &["sale-2026", "4 of 4", "b-in_doubt"][..]),
        ("/admin/live", &["sale-2026", "data-every"]),
        (
            "/admin/campaigns/sale-2026",
            &["suppressed", "A kettle", "the disk is full", "two@example.com", "no &lt;b&gt;such", "1 called it spam"],
        ),
        ("/admin/campaigns/sale-2026/live", &["data-every=\"5000\""]),
        ("/admin/campaigns/sale-2026/progress", &["data-every=\"5000\"", "finished"]),
        ("/admin/members", &["one@example.com", "three@example.com"]),
        ("/admin/members?q=nobody@example.com", &["Nobody is known as"]),
        ("/admin/members/1", &["interest:kettle", "1.0", "sale-2026", "A kettle", "granted"]),
        ("/admin/members/1/live", &["interest:kettle"]),
        ("/admin/members/1/tags", &["interest:kettle", "data-every=\"1000\""]),
        ("/mailbox", &["Café", "One@example.com"]),
        ("/mailbox?q=nothing", &["No mail found"]),
        ("/mailbox/1", &["<iframe src=\"/mailbox/1/html\"", "sandbox=", "interest:kettle"]),
        ("/mailbox/1/html", &["<head><base target=\"_blank\">", "A kettle"]),
        ("/admin/assets/style.css", &["--accent"]),
        ("/admin/assets/live.js", &["data-live"]),
    ] {
        let answer = admin.get(path).await;
        let text = String::from_utf8(body(&answer)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {text}");
        for word in words {
            assert!(text.contains(word), "{path} lacks {word:?}:\n{text}");
        }
    }
    assert_eq!(admin.get("/admin/members?q=ONE@example.com").await.header("location"), Some("/admin/members/1"));
    let policy = admin.get("/mailbox/1/html").await;
    assert!(policy.header("content-security-policy").unwrap().contains("sandbox allow-popups"), "{}", policy.head);
    assert!(!policy.header("content-security-policy").unwrap().contains("script-src"), "{}", policy.head);
}

#[tokio::test]
async fn strangers_are_kept_out() {
    let admin = Admin::start().await;
    for host in ["evil.example", "127.0.0.1.evil.example", "t.example"] {
        assert_eq!(ask(admin.address, "GET", "/admin", &format!("Host: {host}\r\n"), b"").await.status, 421, "{host}");
    }
    for host in ["localhost:8081", "[::1]:1", "desk.lan"] {
        assert_eq!(ask(admin.address, "GET", "/admin", &format!("Host: {host}\r\n"), b"").await.status, 200, "{host}");
    }
    execute(&admin.test.db, ["update run set state = 'sending'".to_owned()]).await;
    let pause = "/api/v1/campaigns/sale-2026/pause";
    for foreign in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: http://127.0.0.1:81\r\n",
    ] {
        assert_eq!(admin.post(pause, foreign).await.status, 403, "{foreign}");
    }
    assert_eq!(number(&admin.test.db, "select count(*) from run where state = 'sending'").await, 1);
    assert_eq!(admin.post(pause, "Origin: http://127.0.0.1:80\r\nSec-Fetch-Site: same-origin\r\n").await.status, 200);
    assert_eq!(number(&admin.test.db, "select count(*) from run where state = 'pausing' and generation = 1").await, 1);
    let again = admin.post(pause, "").await;
    assert_eq!(again.status, 409);
    assert!(again.text().contains("is pausing"), "{}", again.text());
    assert_eq!(admin.get(pause).await.status, 405, "looking changes nothing");
    let button = admin.post("/admin/campaigns/sale-2026/resume", "Sec-Fetch-Site: same-origin\r\n").await;
    assert_eq!((button.status, button.header("location")), (303, Some("/admin/campaigns/sale-2026")));
}
