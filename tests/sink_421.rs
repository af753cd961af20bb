//! A server that sends us away for a while (421) at any step: everybody gets the mail in the end.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{At, Fault, Setup, Sink};

const MEMBERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_step() {
    let sink = Sink::start().await;
    for at in [At::Banner, At::Hello] {
        sink.script(Fault::say(at, "421 4.3.2 not now").times(2));
    }
    for (at, after) in [(At::Mail, 20), (At::Rcpt, 30), (At::Data, 40), (At::Dot, 50)] {
        sink.script(Fault::say(at, "421 4.7.0 too many mails, closing").after(after).times(3));
    }
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_so_many_mails_on_one_connection() {
    let sink = Sink::with(Setup { mails_per_connection: 40, ..Setup::default() }).await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
    assert!(sink.connections() >= (MEMBERS / 40) as u64);
    assert!(
        !daemon.log_text().contains("route in trouble"),
        "a new connection is all it takes:\n{}",
        daemon.log_text()
    );
}
