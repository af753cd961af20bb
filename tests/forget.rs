//! What a member may ask for: everything held of him or her, and that it is forgotten, even while a campaign sends.

use serde_json::Value;

use crate::both_dbs;
use crate::support::campaign::{Campaign, NAME, people, sections, write_providers};
use crate::support::contract::Contract;
use crate::support::daemon::Home;
use crate::support::db::TestDb;
use crate::support::sink::{At, Fault, Sink};
use crate::support::sql::count;

const EMAIL: &str = "Zephyrine.Quill@mail.example";
/// What must not be found anywhere afterwards, in lower case.
const WORDS: [&str; 6] = ["zephyrine", "quill", "zq-external-77", "velvet otter", "zq-order-1", "zq-search-words"];

fn home(test: &TestDb, sink: &Sink) -> Home {
    let sections = sections(sink);
    match test.db.sqlite_path() {
        Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n{sections}", test.url)),
        None => Home::on_postgres(&test.url, &sections),
    }
}

/// Everything the shop knows of one member among many.
fn fill(home: &Home) {
    let file = format!(
        "email,external_id,first_name,last_name,topics,pet\n{EMAIL},ZQ-External-77,Zephyrine,Quill,offers,velvet otter\n"
    );
    home.write("one.csv", &file);
    home.done(&["import", "members", "one.csv"]);
    home.write(
        "products.csv",
        "sku,name,category,price,currency,url\nF1,Frost,kitchen/refrigerator,459.90,EUR,https://shop.example/f1\n",
    );
    home.done(&["import", "products", "products.csv"]);
    let order = format!(
        "order_id,email,ordered_at,sku,quantity,price,currency,status\nZQ-Order-1,{EMAIL},2026-10-01T10:00:00Z,F1,1,459.90,EUR,completed\n"
    );
    home.write("orders.csv", &order);
    home.done(&["import", "orders", "orders.csv"]);
    let event = format!(
        "{{\"type\":\"track\",\"event\":\"Product Viewed\",\"messageId\":\"e1\",\"email\":\"{EMAIL}\",\
        \"timestamp\":\"2026-10-01T10:00:00Z\",\"properties\":{{\"sku\":\"F1\",\"query\":\"zq-search-words\"}}}}\n"
    );
    home.write("events.jsonl", &event);
    home.done(&["import", "events", "events.jsonl"]);
    let stray = format!(
        "From: {EMAIL}\r\nTo: hello@shop.example\r\nSubject: Where is my order?\r\n\r\nYours, Zephyrine Quill\r\n"
    );
    home.write("stray.eml", &stray);
    home.done(&["bounce", "ingest", "stray.eml"]);
}

/// The files beside a database, and the log, in which one of the words stands.
fn found(home: &Home, test: &TestDb) -> Vec<String> {
    let database = test.db.sqlite_path().map(|path| path.display().to_string());
    let files = database.iter().flat_map(|path| ["", "-wal", "-shm"].map(|end| format!("{path}{end}")));
    let log = home.path().join("daemon.log").display().to_string();
    let mut found = Vec::new();
    for path in files.chain([log]) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).to_lowercase();
        found.extend(WORDS.iter().filter(|word| text.contains(*word)).map(|word| format!("{word} in {path}")));
    }
    found
}

both_dbs! {
    async fn an_erased_member_leaves_nothing_while_a_campaign_sends(test) {
        let sink = Sink::start().await;
        let mut home = home(&test, &sink);
        home.env("INDICIA__RETRY__TRIES_MAX", "1000");
        write_providers(&home);
        fill(&home);
        let campaign = Campaign::at(home, &people(399));
        let home = &campaign.home;
        // The server names the person in what it says, and the mail is put off.
        sink.script(Fault::say(At::Rcpt, &format!("450 4.2.0 <{EMAIL}> Zephyrine Quill is away, try again")).to("Zephyrine"));
        let daemon = home.start();
        campaign.start(Some(60.0));
        campaign.until(|shown| shown["by_state"]["sent"].as_i64() >= Some(60));

        assert!(count(&test.db, "delivery where text <> ''").await > 0, "what the server said of the person is kept");

        let held = home.json(&["member", "export", EMAIL]);
        Contract::read().judge("member_export", &held);
        let text = held.to_string().to_lowercase();
        for word in WORDS {
            assert!(text.contains(word), "{word} is held and not exported: {held}");
        }
        assert_eq!(held["consents"][0]["topic"], "offers");

        let erased = home.json(&["member", "erase", EMAIL]);
        Contract::read().judge("member_erased", &erased);
        assert_eq!((&erased["member"], &erased["strays"], &erased["traces"]), (&true.into(), &1.into(), &Value::Array(vec![])), "{erased}");
        assert_eq!(campaign.state(), "sending", "the campaign goes on");
        assert_eq!(found(home, &test), Vec::<String>::new());

        let ran = home.run(&["campaign", "wait", NAME, "--timeout", "120", "--json"]);
        assert!([0, 3].contains(&ran.code), "{}", ran.stderr);
        let report = home.json(&["campaign", "report", NAME]);
        assert_eq!((&report["frozen"], &report["by_state"]["sent"]), (&400.into(), &399.into()), "{report}");
        assert_eq!(report["reasons"]["erased"], 1, "{report}");
        assert!(sink.accepted().iter().all(|mail| !mail.to[0].contains("Zephyrine")), "nothing was sent to the erased");
        assert_eq!(daemon.stop(), 0);
        assert_eq!(found(home, &test), Vec::<String>::new(), "nor does the daemon's end bring it back");

        assert_eq!(count(&test.db, "suppression where reason = 'erased' and scope = 'all'").await, 1);
        assert_eq!(count(&test.db, "orders").await, 1, "counts stay");
        assert_eq!(home.run(&["member", "export", EMAIL]).code, 1);
        assert_eq!(home.json(&["member", "erase", EMAIL])["member"], false, "a second time does no harm");
        let stranger = home.run(&["member", "erase", "stranger@mail.example"]);
        assert!(stranger.code == 1 && stranger.stderr.contains("no member"), "{}", stranger.stderr);
    }
}
