//! The sign-up form: whoever asks is asked back by mail, and only the button behind that mail's link grants consent.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::both_dbs;
use crate::support::campaign::{sections, write_providers};
use crate::support::daemon::{Daemon, Home};
use crate::support::db::TestDb;
use crate::support::sink::{Setup, Sink};
use crate::support::site::{self, Answer, PERSON};
use crate::support::sql::count;

const FORM: &str = "
[signup]
privacy_url = \"https://shop.example/privacy\"
valid = \"VALID\"
[[signup.topic]]
name = \"offers\"
en = \"Offers and <sales>\"
zh = \"优惠\"
ru = \"Скидки\"
[[signup.topic]]
name = \"news\"
";

struct Shop {
    home: Home,
    sink: Sink,
    daemon: Daemon,
}

impl Shop {
    async fn open(test: &TestDb, valid: &str) -> Shop {
        let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
        let sections = format!("{}{}", sections(&sink), FORM.replace("VALID", valid));
        let home = match test.db.sqlite_path() {
            Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n{sections}", test.url)),
            None => Home::on_postgres(&test.url, &sections),
        };
        write_providers(&home);
        let daemon = home.start();
        Shop { home, sink, daemon }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let address: SocketAddr = self.daemon.url("http").trim_start_matches("http://").parse().expect("an address");
        let headers = format!(
            "Host: t.example\r\n{PERSON}{headers}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        );
        site::ask(address, method, path, &headers, body.as_bytes()).await
    }

    /// Fills in the form as it is shown.
    async fn sign_up(&self, email: &str, fields: &str) -> Answer {
        let shown = self.ask("GET", "/j?lang=en", "", "").await.text();
        let words = shown.split("name=\"words\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let words = words.unwrap_or_else(|| panic!("no words: {shown}"));
        let email: String = form_urlencoded::byte_serialize(email.as_bytes()).collect();
        self.ask("POST", "/j", "", &format!("lang=en&words={words}&website=&email={email}{fields}")).await
    }

    /// The path of the link in the newest mail to an address.
    fn link(&self, email: &str) -> String {
        let mails = self.sink.accepted();
        let bytes = mails.iter().rev().find(|mail| mail.to[0] == email).and_then(|mail| mail.mail.clone());
        let bytes = bytes.unwrap_or_else(|| panic!("no mail to {email}"));
        let mail = mail_parser::MessageParser::default().parse(&bytes).expect("a mail");
        let html = mail.body_html(0).expect("HTML").into_owned();
        let at = html.find("/j/").unwrap_or_else(|| panic!("no link: {html}"));
        html[at..].split('"').next().expect("a quote ends it").to_owned()
    }

    fn mails_to(&self, email: &str) -> usize {
        self.sink.accepted().iter().filter(|mail| mail.to[0] == email).count()
    }

    fn held(&self, email: &str) -> Value {
        self.home.json(&["member", "export", email])
    }
}

both_dbs! {
    async fn only_the_button_behind_the_mail_grants_consent(test) {
        let shop = Shop::open(&test, "3d").await;
        let answer = shop.sign_up("Anna@Mail.Example", "&topic=offers&topic=secret").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        shop.sink.wait_for(1).await;
        let head = shop.sink.accepted()[0].mail.clone().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let head = head.expect("bodies are kept");
        assert!(head.contains("Auto-Submitted: auto-generated") && !head.contains("List-Unsubscribe"), "{head}");

        let link = shop.link("Anna@mail.example");
        for method in ["GET", "HEAD", "GET"] {
            let page = shop.ask(method, &link, "", "").await;
            assert_eq!(page.status, 200);
        }
        // What is posted by a program that only repeats what it finds is not the button either.
        shop.ask("POST", &link, "", "").await;
        assert_eq!(count(&test.db, "consent").await, 0, "nobody pressed the button");
        let page = shop.ask("GET", &link, "Accept-Language: ru\r\n", "").await.text();
        assert!(page.contains("Yes, write to me"), "it speaks as the form did: {page}");
        assert!(page.contains("Offers and &lt;sales&gt;") && page.contains("value=\"confirm\""), "{page}");

        let done = shop.ask("POST", &link, "", "act=confirm").await;
        assert!(done.status == 200 && done.text().contains("You are subscribed"), "{}", done.text());
        let again = shop.ask("POST", &link, "", "act=confirm").await;
        assert!(again.text().contains("You are subscribed"), "twice is once: {}", again.text());
        let held = shop.held("anna@mail.example");
        assert_eq!(held["consents"].as_array().map(Vec::len), Some(1), "{held}");
        let entry = &held["consents"][0];
        assert_eq!((&entry["topic"], &entry["state"], &entry["source"]), (&"offers".into(), &"granted".into(), &"signup_form".into()));
        assert_eq!((&entry["text_form"], &entry["text_lang"], &entry["text_version"]), (&"signup".into(), &"en".into(), &1.into()));
        assert!(entry["text"].as_str().is_some_and(|text| text.contains("offers: Offers and <sales>")), "{entry}");
        let proof = entry["proof"].as_str().unwrap_or_default();
        assert!(proof.contains("POST from 127.0.0.1") && proof.contains("confirmed by message"), "{proof}");
        assert_eq!(held["signups"][0]["topics"], "offers");
        assert_eq!(held["messages"][0]["campaign"], "sign-up");
        let report = shop.home.json(&["campaign", "report", "sign-up"]);
        assert_eq!((&report["state"], &report["by_state"]["sent"]), (&"sending".into(), &1.into()), "{report}");

        let forged = format!("{}A", &link[..link.len() - 1]);
        let other = if forged == link { format!("{}B", &link[..link.len() - 1]) } else { forged };
        assert_eq!(shop.ask("POST", &other, "", "act=confirm").await.status, 404);
        assert_eq!(shop.daemon.stop(), 0);
    }
}

both_dbs! {
    async fn the_answer_tells_nothing_about_an_address(test) {
        let shop = Shop::open(&test, "3d").await;
        shop.home.write("members.csv", "email,topics,first_name\nknown@mail.example,offers,Anna\nno@mail.example,offers,Bert\n");
        shop.home.done(&["import", "members", "members.csv"]);
        for email in ["no@mail.example", "never@mail.example"] {
            shop.home.done(&["suppression", "add", email]);
        }
        let unknown = shop.sign_up("unknown@mail.example", "&topic=news").await.text();
        for email in ["known@mail.example", "no@mail.example", "never@mail.example"] {
            assert_eq!(shop.sign_up(email, "&topic=news").await.text(), unknown, "{email}");
        }
        shop.sink.wait_for(2).await;
        // A suppressed address gets nothing: a mail asked for later arrives, theirs do not.
        shop.sign_up("later@mail.example", "&topic=news").await;
        shop.sink.wait_for(3).await;
        assert_eq!(shop.mails_to("no@mail.example") + shop.mails_to("never@mail.example"), 0);
        assert_eq!(count(&test.db, "member where email = 'never@mail.example'").await, 0);
        let held = shop.held("known@mail.example");
        assert_eq!(held["profile"]["first_name"], "Anna");
        assert_eq!(held["consents"].as_array().map(Vec::len), Some(1), "a wish alone changes nothing: {held}");
        assert_eq!(shop.daemon.stop(), 0);
    }
}

both_dbs! {
    async fn nobody_is_flooded(test) {
        let shop = Shop::open(&test, "3d").await;
        for _ in 0..5 {
            assert_eq!(shop.sign_up("anna@mail.example", "&topic=news").await.status, 200);
        }
        let trapped = shop.sign_up("bert@mail.example", "&topic=news&website=x").await;
        assert_eq!(trapped.status, 200, "a machine learns nothing: its field comes first");
        let stuffed = shop.ask("POST", "/j", "", "lang=en&website=http://spam&email=bert@mail.example&topic=news&words=x").await;
        assert!(stuffed.text().contains("look into your mailbox"), "{}", stuffed.text());
        shop.sink.wait_for(3).await;
        let mut taken = 0;
        while shop.sign_up(&format!("m{taken}@mail.example"), "&topic=news").await.status == 200 {
            taken += 1;
            assert!(taken <= 60, "one network may ask 30 times in an hour, whichever hour it is");
        }
        // Five were counted before.
        assert!(taken >= 25, "{taken}");
        shop.sink.wait_for(3 + taken).await;
        assert_eq!(shop.mails_to("anna@mail.example"), 3);
        assert_eq!(count(&test.db, "message").await, 3 + taken as i64);
        assert_eq!(shop.daemon.stop(), 0);
    }
}

both_dbs! {
    async fn what_nobody_confirms_is_forgotten(test) {
        let shop = Shop::open(&test, "5s").await;
        shop.home.write("members.csv", "email,topics\nknown@mail.example,offers\ngone@mail.example,offers\n");
        shop.home.done(&["import", "members", "members.csv"]);
        shop.home.done(&["member", "erase", "gone@mail.example"]);
        for email in ["anna@mail.example", "anna@mail.example", "known@mail.example", "gone@mail.example"] {
            shop.sign_up(email, "&topic=news").await;
        }
        shop.sink.wait_for(4).await;
        let link = shop.link("anna@mail.example");
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        while count(&test.db, "signup").await > 0 {
            assert!(tokio::time::Instant::now() < end, "they stay: {}", shop.daemon.log_text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(count(&test.db, "member where status = 'live'").await, 1, "only who was there before");
        assert_eq!(count(&test.db, "member where email = 'anna@mail.example'").await, 0);
        assert_eq!(count(&test.db, "suppression where reason <> 'erased'").await, 0, "she may sign up again");
        assert_eq!(count(&test.db, "suppression").await, 1, "whoever was erased stays so");
        assert_eq!(shop.ask("POST", &link, "", "act=confirm").await.status, 404);
        assert_eq!(count(&test.db, "consent where topic = 'news'").await, 0);
        assert_eq!(shop.daemon.stop(), 0);
    }
}

both_dbs! {
    async fn the_form_speaks_three_languages_and_takes_no_nonsense(test) {
        let shop = Shop::open(&test, "3d").await;
        let title = |answer: &Answer| answer.text().split("<h1>").nth(1).and_then(|rest| rest.split('<').next().map(str::to_owned));
        for (path, accept, wanted) in [
            ("/j", "Accept-Language: zh-CN,zh;q=0.9\r\n", "订阅邮件"),
            ("/j", "Accept-Language: ru\r\n", "Письма для вас"),
            ("/j?lang=zh", "Accept-Language: ru\r\n", "订阅邮件"),
            ("/j?lang=xx", "", "Mails for you"),
            ("/j/", "", "Mails for you"),
        ] {
            let page = shop.ask("GET", path, accept, "").await;
            assert_eq!((page.status, title(&page).as_deref()), (200, Some(wanted)), "{path} {accept}");
            assert!(page.text().contains("https://shop.example/privacy"));
        }
        let page = shop.ask("GET", "/j?lang=zh", "", "").await.text();
        assert!(page.contains("优惠") && page.contains(">news<") && !page.contains(" checked"), "{page}");
        for (email, fields, said) in [
            ("no address", "&topic=news", "no address we can write to"),
            ("a@mail.example", "", "at least one topic"),
            ("a@mail.example", "&topic=secret", "at least one topic"),
            ("\"><script>x@mail.example", "&topic=news", "no address we can write to"),
        ] {
            let answer = shop.sign_up(email, fields).await;
            assert!(answer.status == 422 && answer.text().contains(said), "{email}: {}", answer.text());
            assert!(!answer.text().contains("<script>"));
        }
        // The words were others when the form was opened.
        let old = shop.ask("POST", "/j", "", "lang=en&words=0123&email=a@mail.example&topic=news").await;
        assert!(old.status == 422 && old.text().contains("has changed"), "{}", old.text());
        assert_eq!(shop.ask("POST", "/j", "", &format!("email={}", "x".repeat(20_000))).await.status, 413);
        assert_eq!(count(&test.db, "signup").await, 0);
        assert_eq!(shop.daemon.stop(), 0);
    }
}

both_dbs! {
    async fn whoever_said_no_comes_back_by_the_button_alone(test) {
        let shop = Shop::open(&test, "3d").await;
        shop.home.write("members.csv", "email,topics\nerased@mail.example,offers;news\nleft@mail.example,offers;news\n\
            full@mail.example,offers\ndead@mail.example,offers\n");
        shop.home.done(&["import", "members", "members.csv"]);
        shop.home.done(&["member", "erase", "erased@mail.example"]);
        shop.home.done(&["suppression", "add", "left@mail.example", "--reason", "unsubscribe"]);
        shop.home.done(&["suppression", "add", "full@mail.example", "--reason", "soft_bounce"]);
        let people = ["erased@mail.example", "left@mail.example", "full@mail.example", "dead@mail.example"];
        for email in people {
            shop.sign_up(email, "&topic=news").await;
        }
        shop.sink.wait_for(4).await;
        // A report about the mail's fate came before its reader.
        shop.home.done(&["suppression", "add", "dead@mail.example", "--reason", "hard_bounce"]);
        for email in people {
            let page = shop.ask("GET", &shop.link(email), "", "").await;
            assert_eq!(page.status, 200);
        }
        assert_eq!(count(&test.db, "suppression").await, 4, "a wish and a look lift nothing");
        for email in people {
            let done = shop.ask("POST", &shop.link(email), "", "act=confirm").await;
            assert!(done.text().contains("You are subscribed"), "{email}: {}", done.text());
        }
        assert_eq!(count(&test.db, "suppression").await, 0);
        let consents = |email: &str| -> Vec<String> {
            let held = shop.held(email);
            let rows = held["consents"].as_array().cloned().unwrap_or_default();
            rows.iter().map(|row| format!("{} {}", row["topic"].as_str().unwrap_or(""), row["state"].as_str().unwrap_or(""))).collect()
        };
        assert_eq!(consents("erased@mail.example"), ["news granted"], "what was erased stays so");
        let proof = shop.held("erased@mail.example")["consents"][0]["proof"].as_str().unwrap_or_default().to_owned();
        assert!(proof.contains("ends erased of all by erase"), "{proof}");
        // Who wanted nothing any more now wants this, and no other.
        let mut left = consents("left@mail.example");
        left.sort();
        assert_eq!(left, ["news granted", "news granted", "news revoked", "offers granted", "offers revoked"]);
        assert!(consents("dead@mail.example").contains(&"offers granted".to_owned()));
        assert_eq!(shop.daemon.stop(), 0);
    }
}

both_dbs! {
    async fn a_complaint_and_what_others_decided_stand(test) {
        let shop = Shop::open(&test, "3d").await;
        for reason in ["complaint", "legal", "role", "manual", "hard_bounce"] {
            let email = format!("{reason}@mail.example");
            shop.home.done(&["suppression", "add", &email, "--reason", reason]);
            assert_eq!(shop.sign_up(&email, "&topic=news").await.status, 200);
        }
        shop.sign_up("anna@mail.example", "&topic=news").await;
        shop.sink.wait_for(1).await;
        assert_eq!(shop.sink.accepted()[0].to[0], "anna@mail.example", "the others are not even asked");
        shop.home.done(&["suppression", "add", "anna@mail.example", "--reason", "complaint"]);
        shop.ask("POST", &shop.link("anna@mail.example"), "", "act=confirm").await;
        assert_eq!(count(&test.db, "suppression where reason = 'complaint'").await, 2);
        assert_eq!(shop.daemon.stop(), 0);
    }
}
