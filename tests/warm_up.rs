//! While an address warms up, the few mails of a day go to those who read us.

use std::collections::HashSet;

use indicia::base::World;

use crate::both_dbs;
use crate::support::campaign::{Campaign, NAME, sections};
use crate::support::daemon::Home;
use crate::support::db::TestDb;
use crate::support::sink::Sink;
use crate::support::site::execute;

const DAY_MS: i64 = 86_400_000;
const MEMBERS: usize = 100;
const FIRST_DAY: usize = 15;

/// One connection, so that the order in which mails arrive is the order in which they left.
async fn home(test: &TestDb, sink: &Sink) -> Home {
    let warm = format!("[[route.provider]]\nname = \"a\"\nwarm_up = {FIRST_DAY}\n[retry]");
    let sections = sections(sink).replace("[retry]", &warm).replace("connections = 4", "connections = 1");
    let home = match test.db.sqlite_path() {
        Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n{sections}", test.url)),
        None => Home::on_postgres(&test.url, &sections),
    };
    home.write("providers.toml", "[[provider]]\nname = \"a\"\ndomains = [\"a.example\"]\n");
    home
}

/// Every fifth member, and of these every other one: who followed a link yesterday, and who opened a mail two months
/// ago.
fn email(n: usize) -> String {
    format!("m{n}@a.example")
}

fn lately() -> Vec<String> {
    (0..MEMBERS).filter(|n| n % 10 == 9).map(email).collect()
}

fn once() -> Vec<String> {
    (0..MEMBERS).filter(|n| n % 10 == 4).map(email).collect()
}

fn touches(emails: &[String], class: &str, at_ms: i64) -> String {
    let named: Vec<String> = emails.iter().map(|email| format!("'{email}'")).collect();
    format!(
        "insert into touch (at_ms, run_id, message_id, member_id, kind, class, method, agent, ip)
         select {at_ms}, 1, 1, id, 'click', '{class}', 'GET', '', '' from member where email in ({})",
        named.join(", ")
    )
}

both_dbs! {
    async fn the_first_days_mails_go_to_the_most_engaged(test) {
        let sink = Sink::start().await;
        let everybody: Vec<String> = (0..MEMBERS).map(email).collect();
        let mut campaign = Campaign::at(home(&test, &sink).await, &everybody);
        let now_ms = World::system().now_ms();
        execute(&test.db, [
            touches(&lately(), "human", now_ms - DAY_MS),
            touches(&once(), "proxy", now_ms - 60 * DAY_MS),
            // Neither machines nor what is long past count.
            touches(&everybody[..20], "scanner", now_ms - 1_000),
            touches(&everybody[20..40], "human", now_ms - 400 * DAY_MS),
            // Whose they are is decided.
            format!("update touch_judged set at_ms = {now_ms}, touch_id = {MEMBERS}"),
        ]).await;
        let daemon = campaign.home.start();
        campaign.start(None);
        campaign.until(|shown| shown["by_state"]["sent"] == FIRST_DAY && shown["slowed"].as_array().map(Vec::len) == Some(1));
        assert_eq!(daemon.stop(), 0);
        let to = |range: std::ops::Range<usize>| -> HashSet<String> {
            sink.accepted()[range].iter().map(|mail| mail.to[0].clone()).collect()
        };
        let (lately, once): (HashSet<String>, HashSet<String>) = (lately().into_iter().collect(), once().into_iter().collect());
        assert_eq!(to(0..10), lately);
        assert!(to(10..FIRST_DAY).is_subset(&once), "{:?}", to(10..FIRST_DAY));

        // What was in hand when the day ended has kept its place.
        campaign.home.env("INDICIA__ROUTE__0__PROVIDER__0__NAME", "nobody");
        campaign.home.done(&["shaping", "resume", "a"]);
        let daemon = campaign.home.start();
        campaign.finished(&sink, &daemon).all_sent(MEMBERS);
        assert_eq!(to(10..20), once);
        assert_eq!(campaign.home.json(&["campaign", "show", NAME])["state"], "finished");
        assert_eq!(daemon.stop(), 0);
    }
}
