//! A server that closes without a word: before the dot the mail is simply sent again, after it the mail is in doubt.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{Act, At, Fault, Sink};

const MEMBERS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_dot() {
    let sink = Sink::start().await;
    for (at, after) in [(At::Banner, 0), (At::Hello, 0), (At::Mail, 20), (At::Rcpt, 30), (At::Data, 40)] {
        sink.script(Fault::new(at, Act::Close).after(after).times(2));
    }
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_dot() {
    let sink = Sink::start().await;
    let mut everybody = people(MEMBERS);
    for step in ["close", "takeclose"] {
        everybody.extend((0..4).map(|n| format!("{step}{n}+dot-{step}@post.example")));
    }
    let campaign = Campaign::new(&sink, &everybody, &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    // Nobody can tell those taken from those not taken; none of them is sent again by itself.
    assert_eq!((accounts.n("sent"), accounts.n("in_doubt")), (MEMBERS, 8), "{accounts:?}");
    assert_eq!(sink.count(), MEMBERS + 4);
}
