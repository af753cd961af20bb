//! How a member wants to be written to: the preference page's switches act on the next mail, and silence has an end.

use std::net::SocketAddr;

use indicia::base::World;
use serde_json::Value;

use crate::both_dbs;
use crate::support::campaign::{sections, write_providers};
use crate::support::daemon::{Daemon, Home};
use crate::support::db::TestDb;
use crate::support::sink::{Setup, Sink};
use crate::support::site::{self, Answer, PERSON};
use crate::support::sql::{count, run};

const ANNA: &str = "anna@mail.example";
const HTML: &str = "<html><body><a href=\"https://shop.example/sale?a=1&amp;b=2\">Sale</a>\
    {% for p in products(strategy=\"for_you\", n=1) %}<a href=\"{{ p.url }}\">{{ p.name }}</a>{% endfor %}\
    <a href=\"{{ preferences_url() }}\">Preferences</a> <a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></body></html>\n";

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(World::system().now_ms()).expect("a time")
}

struct Shop {
    home: Home,
    sink: Sink,
}

impl Shop {
    /// Two members of whom Anna looked at the washer, which sells worse than the refrigerator.
    async fn open(test: &TestDb, more: &str) -> Shop {
        let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
        let sections = format!("{}{more}", sections(&sink));
        let home = match test.db.sqlite_path() {
            Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n{sections}", test.url)),
            None => Home::on_postgres(&test.url, &sections),
        };
        write_providers(&home);
        home.write("members.csv", &format!("email,topics\n{ANNA},offers;news\nbert@mail.example,offers\n"));
        home.write("products.csv", "sku,name,category,price,currency,url\n\
            F1,Frost,kitchen/refrigerator,459.90,EUR,https://shop.example/f1\nW1,Wave,bath/washer,359.90,EUR,https://shop.example/w1?x=1&y=2\n");
        let day = now() - jiff::SignedDuration::from_hours(24);
        home.write(
            "orders.csv",
            &format!(
                "order_id,email,ordered_at,sku,quantity,price,currency,status\n\
            O-1,bert@mail.example,{day},F1,9,459.90,EUR,completed\n"
            ),
        );
        home.write(
            "events.jsonl",
            &format!(
                "{{\"type\":\"track\",\"event\":\"Product Viewed\",\"messageId\":\"e1\",\
            \"email\":\"{ANNA}\",\"timestamp\":\"{day}\",\"properties\":{{\"sku\":\"W1\"}}}}\n"
            ),
        );
        for (kind, file) in [
            ("members", "members.csv"),
            ("products", "products.csv"),
            ("orders", "orders.csv"),
            ("events", "events.jsonl"),
        ] {
            home.done(&["import", kind, file]);
        }
        home.write(
            "templates/goods/template.toml",
            "class = \"marketing\"\ntopic = \"offers\"\ndefault_locale = \"en\"\n",
        );
        home.write("templates/goods/en.toml", "subject = \"Hello\"\npreheader = \"News\"\n");
        home.write("templates/goods/en.html", HTML);
        home.done(&["template", "push", "templates"]);
        Shop { home, sink }
    }

    /// Sends a campaign, and gives its report and the HTML that came to Anna, empty if none did.
    fn send(&self, name: &str) -> (Value, String) {
        let before = self.sink.count();
        self.home.write(
            "campaign.toml",
            &format!("name = \"{name}\"\ntemplate = \"goods\"\nsegment = 'email is set'\nsender = \"offers\"\n"),
        );
        self.home.done(&["campaign", "start", "campaign.toml", "--wait", "--timeout", "60"]);
        let mails = self.sink.accepted().split_off(before);
        let bytes = mails.into_iter().find(|mail| mail.to[0] == ANNA).and_then(|mail| mail.mail).unwrap_or_default();
        let mail = mail_parser::MessageParser::default().parse(&bytes);
        let html = mail.and_then(|mail| mail.body_html(0).map(|html| html.into_owned())).unwrap_or_default();
        (self.home.json(&["campaign", "report", name]), html)
    }
}

/// The path of the first link of a mail that begins so, as in `/p/`.
fn path(html: &str, letter: &str) -> String {
    let at = html.find(letter).unwrap_or_else(|| panic!("no {letter} in {html}"));
    html[at..].split('"').next().expect("a quote ends it").to_owned()
}

async fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> Answer {
    let address: SocketAddr = daemon.url("http").trim_start_matches("http://").parse().expect("an address");
    let headers = format!(
        "Host: t.example\r\n{PERSON}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
        body.len()
    );
    site::ask(address, method, path, &headers, body.as_bytes()).await
}

both_dbs! {
    async fn switches_act_on_the_next_mail(test) {
        let shop = Shop::open(&test, "").await;
        let daemon = shop.home.start();
        let (_, first) = shop.send("first");
        assert!(first.contains("/o/") && !first.contains("shop.example"), "a tracked mail: {first}");
        assert!(first.contains(">Wave<"), "what was looked at: {first}");

        let page = path(&first, "/p/");
        let shown = ask(&daemon, "GET", &page, "").await;
        for name in ["until", "locale", "personalise", "track_opens", "track_clicks"] {
            assert!(shown.text().contains(&format!("name=\"{name}\"")), "{name}: {}", shown.text());
        }
        let form = "switches=shown&known=offers&known=news&topic=offers&until=&locale=ru&act=save";
        let saved = ask(&daemon, "POST", &page, form).await;
        assert!(saved.status == 200 && saved.text().contains("Ваш выбор сохранён"), "{}", saved.text());
        assert!(!saved.text().contains("value=\"1\" checked"), "all switches are off: {}", saved.text());

        let (_, second) = shop.send("second");
        assert!(!second.contains("/o/") && !second.contains("/c/"), "no pixel, no counted link: {second}");
        assert!(second.contains("https://shop.example/sale?a=1&amp;b=2"), "{second}");
        assert!(second.contains("https://shop.example/f1") && !second.contains(">Wave<"), "what sells best: {second}");
        ask(&daemon, "GET", &path(&first, "/o/"), "").await;
        let followed = ask(&daemon, "GET", &path(&first, "/c/"), "").await;
        assert_eq!(followed.header("location"), Some("https://shop.example/sale?a=1&b=2"), "old links lead on");
        assert_eq!(count(&test.db, "touch").await, 0, "and nothing is written down");

        let held = shop.home.json(&["member", "export", ANNA]);
        assert_eq!((&held["profile"]["locale"], &held["profile"]["track_opens"]), (&"ru".into(), &0.into()));
        let news = held["consents"].as_array().expect("a log").iter().find(|change| change["state"] == "revoked").expect("a change");
        assert_eq!((&news["topic"], &news["text_form"], &news["text_version"]), (&"news".into(), &"preferences".into(), &1.into()));
        assert!(news["text"].as_str().expect("the words").contains("Choose what you would like"), "{news}");

        let day = now() + jiff::SignedDuration::from_hours(10 * 24);
        let day = day.strftime("%Y-%m-%d");
        let paused = ask(&daemon, "POST", &page, &format!("switches=shown&personalise=1&track_opens=1&track_clicks=1&until={day}&locale=&act=save")).await;
        assert!(paused.text().contains(&format!("value=\"{day}\"")), "{}", paused.text());
        let (report, third) = shop.send("third");
        assert_eq!((&report["reasons"]["paused"], &report["by_state"]["sent"], third.as_str()), (&1.into(), &1.into(), ""), "{report}");
        let wild = ask(&daemon, "POST", &page, "switches=shown&until=9999-12-31&act=save").await;
        assert!(wild.text().contains(&format!("value=\"{day}\"")), "a day beyond all bounds changes nothing: {}", wild.text());
        assert_eq!(daemon.stop(), 0);
    }
}

both_dbs! {
    async fn the_long_silent_get_no_more_mail(test) {
        let shop = Shop::open(&test, "[consent]\nsunset_after = \"365d\"\n").await;
        run(&test.db, &["update member set created_at_ms = 0", "delete from event"]).await;
        let daemon = shop.home.start();
        let (report, none) = shop.send("first");
        assert_eq!((&report["excluded"]["silent"], &report["frozen"], none.as_str()), (&1.into(), &1.into(), ""), "{report}");
        let long_ago = "insert into touch (at_ms, run_id, message_id, member_id, kind, class, method, agent, ip)";
        let now = World::system().now_ms();
        let touch = |class: &str, at_ms: i64| format!("{long_ago} select {at_ms}, 1, 1, id, 'open', '{class}', 'GET', '', '' from member where email = '{ANNA}'");
        run(&test.db, &[&touch("scanner", now), &touch("human", now - 400 * 86_400_000)]).await;
        assert_eq!(shop.send("second").0["excluded"]["silent"], 1, "neither a machine nor last year counts");
        run(&test.db, &[&touch("human", now - 86_400_000)]).await;
        let (report, html) = shop.send("third");
        assert!(report["frozen"] == 2 && html.contains("/o/"), "a person came back: {report}");
        assert_eq!(daemon.stop(), 0);
    }
}
