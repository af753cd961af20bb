//! A segment that the database cannot answer in time: the campaign is a draft again and says why, nothing is half done.

use std::time::Duration;

use crate::both_dbs;
use crate::support::campaign::{Campaign, NAME, sections};
use crate::support::daemon::Home;
use crate::support::sink::Sink;
use crate::support::site::{execute, number};

/// So many that five of them can be combined in too many ways to count.
const MEMBERS: usize = 150;

/// Whoever asks for a consent waits for ever.
const SLOW: [&str; 2] = [
    "alter table consent rename to consent_kept",
    "create view consent as select * from consent_kept where (select count(*) from member a, member b, member c, member d,
       member e where a.lot + b.lot + c.lot < d.lot + e.lot) >= 0",
];
const QUICK: [&str; 2] = ["drop view consent", "alter table consent_kept rename to consent"];

both_dbs! {
    async fn an_audience_that_takes_too_long_puts_the_campaign_off(test) {
        let sink = Sink::start().await;
        let mut home = match test.db.sqlite_path() {
            Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n{}", test.url, sections(&sink))),
            None => Home::on_postgres(&test.url, &sections(&sink)),
        };
        // Nobody listens there: what was to be told is in the database.
        home.env("INDICIA__ALERT__WEBHOOK_URL", "http://127.0.0.1:9/");
        let everybody: Vec<String> = (0..MEMBERS).map(|n| format!("m{n}@mail.example")).collect();
        let campaign = Campaign::at(home, &everybody);
        campaign.start(None);
        execute(&test.db, SLOW.map(str::to_owned)).await;
        let daemon = campaign.home.start();
        // Each of its tries is ended after ten seconds.
        let end = tokio::time::Instant::now() + Duration::from_secs(120);
        while campaign.state() != "draft" {
            assert!(tokio::time::Instant::now() < end, "{}: {}", campaign.state(), daemon.log_text());
        }
        let shown = campaign.home.json(&["campaign", "show", NAME]);
        assert!(shown["why"].as_str().is_some_and(|why| why.contains("took more than 10 s")), "{shown}");
        assert!(daemon.log_text().contains("its audience is not frozen"), "{}", daemon.log_text());
        assert_eq!(number(&test.db, "select count(*) from message").await, 0);
        assert_eq!(number(&test.db, "select count(*) from alert where kind = 'campaign_put_off'").await, 1);

        execute(&test.db, QUICK.map(str::to_owned)).await;
        campaign.home.done(&["campaign", "resume", NAME]);
        campaign.finished(&sink, &daemon).all_sent(MEMBERS);
        let shown = campaign.home.json(&["campaign", "show", NAME]);
        assert!(shown["why"].is_null(), "{shown}");
        assert_eq!(daemon.stop(), 0);
    }
}
