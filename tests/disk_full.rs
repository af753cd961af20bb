//! A database that may not grow: sending stops while there still is room to write down what was sent, and goes on when
//! there is more.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::Sink;

const MEMBERS: usize = 3_000;
const RESERVE: &str = "150000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_stops_in_time_and_goes_on_when_there_is_room() {
    let sink = Sink::start().await;
    sink.away().await;
    let mut campaign = Campaign::new(&sink, &people(MEMBERS), &[("DISK__RESERVE_BYTES", RESERVE)]);
    // The audience is frozen while nothing can be sent.
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.until(|shown| shown["by_state"]["queued"] == MEMBERS);
    assert_eq!(daemon.stop(), 0);
    let used = std::fs::metadata(campaign.home.path().join("data/indicia.db")).expect("a database").len();

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
    assert_eq!(daemon.stop(), 0, "it drains with a full database too");
    let grown = std::fs::metadata(campaign.home.path().join("data/indicia.db")).expect("a database").len();
    assert!(grown <= most, "the database grew past its bound: {grown} of {most} bytes");

    campaign.home.env("INDICIA__DATABASE__SQLITE_BYTES_MAX", "1000000000");
    let daemon = campaign.home.start();
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}
