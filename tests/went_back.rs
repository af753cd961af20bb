//! A database that was restored from a copy: mails it shows as queued may have been sent, so nothing is sent until a
//! person decides.

use crate::support::campaign::{Campaign, people};
use crate::support::ear::Ear;
use crate::support::sink::Sink;

const MEMBERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_campaign_stands_still_until_a_person_decides() {
    let sink = Sink::start().await;
    let ear = Ear::start(([127, 0, 0, 1], 0).into(), false, &[], "").await;
    let url = format!("http://{}/hook", ear.address);
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[("ALERT__WEBHOOK_URL", &url)]);
    let home = &campaign.home;
    let database = home.path().join("data/indicia.db");
    let copy = home.path().join("copy.db");
    let daemon = home.start();
    campaign.start(Some(100.0));
    sink.wait_for(40).await;
    assert_eq!(daemon.stop(), 0);
    let later = "name = \"later\"\ntemplate = \"plain\"\nsegment = 'email is set'\nsender = \"offers\"\n\
                 at = \"2099-01-01T00:00:00Z\"\n";
    home.write("later.toml", later);
    home.done(&["campaign", "start", "later.toml"]);
    std::fs::copy(&database, &copy).expect("copy the database");

    let daemon = home.start();
    sink.wait_for(sink.count() + 20).await;
    assert_eq!(daemon.stop(), 0);
    let sent = sink.count();
    std::fs::copy(&copy, &database).expect("restore the copy");
    for rest in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(home.path().join(format!("data/indicia.db{rest}")));
    }

    let daemon = home.start();
    assert!(daemon.log_text().contains("gone back in time"), "{}", daemon.log_text());
    campaign.until(|shown| shown["state"] == "paused");
    ear.wait_for(1).await;
    assert!(ear.heard()[0].body.contains("gone back in time"), "{}", ear.heard()[0].body);
    let shown = home.json(&["campaign", "show", "survival"]);
    assert!(shown["why"].as_str().is_some_and(|why| why.contains("gone back in time")), "{shown}");
    assert_eq!(home.json(&["campaign", "show", "later"])["state"], "draft");
    assert_eq!(sink.count(), sent, "nothing was sent of what may have been sent already");

    assert_eq!(home.json(&["campaign", "resume", "later"])["state"], "approved");
    home.done(&["campaign", "resume", "survival"]);
    home.done(&["campaign", "wait", "survival", "--timeout", "60"]);
    assert!(sink.count() > MEMBERS, "the person chose to send again what the copy did not know to be sent");
    assert_eq!(daemon.stop(), 0);
    let daemon = home.start();
    assert_eq!(home.json(&["campaign", "show", "later"])["state"], "approved", "it is told once");
    assert_eq!(daemon.stop(), 0);
}
