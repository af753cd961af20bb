//! The mail server is away: nothing is lost, nothing fails, and the campaign goes on when it is back.

use crate::support::campaign::{Campaign, people};
use crate::support::daemon::Daemon;
use crate::support::sink::Sink;

const MEMBERS: usize = 300;
const CONNECTIONS: usize = 4;

/// Waits until the daemon has said so much.
fn until_logged(campaign: &Campaign, daemon: &Daemon, words: &str) {
    campaign.until(|_| daemon.log_text().contains(words));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusing_from_the_start() {
    let sink = Sink::start().await;
    sink.away().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    until_logged(&campaign, &daemon, "route in trouble");
    campaign.until(|shown| shown["by_state"]["queued"] == MEMBERS);
    assert_eq!(campaign.state(), "sending", "a server that is away ends no campaign");
    assert_eq!(daemon.stop(), 0, "nothing is under way, so nothing is waited for");
    let daemon = campaign.home.start();
    sink.back().await;
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn away_in_the_middle() {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(Some(150.0));
    sink.wait_for(MEMBERS / 5).await;
    sink.away().await;
    let before = sink.count();
    until_logged(&campaign, &daemon, "route in trouble");
    sink.back().await;
    let accounts = campaign.finished(&sink, &daemon);
    assert!(before < MEMBERS, "it was away too late");
    // What was between the dot and its reply when the server went away is in doubt, and nothing else.
    assert!(accounts.n("in_doubt") <= CONNECTIONS, "{accounts:?}");
    assert_eq!(accounts.n("sent") + accounts.n("in_doubt"), MEMBERS, "{accounts:?}");
}
