//! SIGTERM: what is under way finishes and nothing is in doubt; a second one stops at once.

use tokio::time::Instant;

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{Act, At, Fault, Sink};

const MEMBERS: usize = 400;
const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_is_drained_and_the_next_start_finishes_it() {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let mut daemon = campaign.home.start();
    campaign.start(Some(200.0));
    for part in 1..4 {
        sink.wait_for(MEMBERS * part / 4).await;
        assert_eq!(daemon.stop(), 0);
        let accounts = campaign.accounts(&sink);
        assert_eq!(accounts.n("sent") + accounts.n("queued"), MEMBERS, "nothing else after a drain: {accounts:?}");
        assert_eq!(accounts.n("sent"), sink.count());
        assert!(accounts.n("queued") > 0, "the drain came too late to show anything");
        daemon = campaign.home.start();
    }
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let sink = Sink::start().await;
    sink.script(Fault::new(At::Dot, Act::TakeAndHang).after(50).times(CONNECTIONS as u64));
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    sink.wait_for(50 + CONNECTIONS).await;
    daemon.term();
    campaign.until(|_| daemon.log_text().contains("draining"));
    let began = Instant::now();
    daemon.term();
    assert_eq!(daemon.wait(), 1, "it says that something was left");
    assert!(began.elapsed().as_secs() < 10, "the drain's 30 seconds were waited for");
    let daemon = campaign.home.start();
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("in_doubt")), (MEMBERS - CONNECTIONS, CONNECTIONS), "{accounts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_before_the_dot_does_not_hold_up_the_drain() {
    const SENT: usize = 20;
    let sink = Sink::start().await;
    // Its timeout is five minutes, and the drain has thirty seconds.
    sink.script(Fault::new(At::Mail, Act::Hang).after(SENT as u64));
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    sink.wait_for(SENT).await;
    let began = Instant::now();
    assert_eq!(daemon.stop(), 0);
    assert!(began.elapsed().as_secs() < 15, "the server's silence was waited for: {:?}", began.elapsed());
    let accounts = campaign.accounts(&sink);
    assert_eq!((accounts.n("sent"), accounts.n("queued")), (SENT, MEMBERS - SENT), "{accounts:?}");
    sink.behave();
    let daemon = campaign.home.start();
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}
