//! A database that may not grow: sending stops while there still is room to write down what was sent, and goes on when
//! there is more.

use crate::support::campaign::{Campaign, people};
use crate::support::ear::Ear;
use crate::support::sink::Sink;

const MEMBERS: usize = 3_000;
const RESERVE: &str = "150000";

/// The size of the database's file.
fn bytes(campaign: &Campaign) -> u64 {
    std::fs::metadata(campaign.home.path().join("data/indicia.db")).expect("a database").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_stops_in_time_and_goes_on_when_there_is_room() {
    let sink = Sink::start().await;
    sink.away().await;
    let ear = Ear::start(([127, 0, 0, 1], 0).into(), false, &[], "").await;
    let url = format!("http://{}/hook", ear.address);
    let settings = [("DISK__RESERVE_BYTES", RESERVE), ("ALERT__WEBHOOK_URL", url.as_str()), ("ALERT__AFTER", "1h")];
    let mut campaign = Campaign::new(&sink, &people(MEMBERS), &settings);
    // The audience is frozen while nothing can be sent.
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.until(|shown| shown["by_state"]["queued"] == MEMBERS);
    assert_eq!(daemon.stop(), 0);
    let used = bytes(&campaign);

    let most = used + 250_000;
    campaign.home.env("INDICIA__DATABASE__SQLITE_BYTES_MAX", &most.to_string());
    sink.back().await;
    let daemon = campaign.home.start();
    campaign.until(|_| daemon.log_text().contains("sending stops: the database has"));
    campaign.until(|shown| shown["by_state"]["armed"] == 0 && shown["by_state"]["leased"] == 0);
    let stopped = campaign.accounts(&sink);
    assert_eq!(stopped.n("sent"), sink.count(), "everything sent is written down");
    assert_eq!(stopped.n("sent") + stopped.n("queued"), MEMBERS, "{stopped:?}");
    assert!(stopped.n("sent") > 0 && stopped.n("queued") > 0, "{stopped:?}");
    assert!(daemon.log_text().contains("raise [database] sqlite_bytes_max"), "{}", daemon.log_text());
    ear.wait_for(1).await;
    assert!(ear.heard()[0].body.contains("raise [database] sqlite_bytes_max"), "{}", ear.heard()[0].body);
    assert_eq!(daemon.stop(), 0, "it drains with a full database too");
    assert!(bytes(&campaign) <= most, "the database grew past its bound of {most} bytes");

    campaign.home.env("INDICIA__DATABASE__SQLITE_BYTES_MAX", "1000000000");
    let daemon = campaign.home.start();
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audience_that_does_not_fit_waits_until_it_does() {
    let sink = Sink::start().await;
    let mut campaign = Campaign::new(&sink, &people(MEMBERS), &[("DISK__RESERVE_BYTES", "0")]);
    let most = bytes(&campaign) + 200_000;
    campaign.home.env("INDICIA__DATABASE__SQLITE_BYTES_MAX", &most.to_string());
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.until(|_| daemon.log_text().contains("plan failed and tries again"));
    assert!(daemon.log_text().contains("full"), "{}", daemon.log_text());
    assert_eq!((campaign.state().as_str(), sink.count()), ("freezing", 0), "nothing is sent to half an audience");
    assert_eq!(daemon.stop(), 0);

    campaign.home.env("INDICIA__DATABASE__SQLITE_BYTES_MAX", "1000000000");
    let daemon = campaign.home.start();
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}
