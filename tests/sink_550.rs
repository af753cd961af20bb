//! Refusals for good, at each step: told apart, counted exactly, never tried again.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{At, Fault, Sink};

const EACH: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_step() {
    let sink = Sink::start().await;
    // Whoever refuses the connection refuses no mail: that is tried again.
    sink.script(Fault::say(At::Banner, "554 5.7.1 not you").times(1));
    sink.script(Fault::say(At::Hello, "550 5.7.1 not you either").times(1));
    sink.script(Fault::say(At::Mail, "550 5.1.8 a bad sender").after(30).times(EACH as u64));
    let mut everybody = people(100);
    for step in ["rcpt", "data", "dot"] {
        everybody.extend((0..EACH).map(|n| format!("{step}{n}+{step}-550@post.example")));
    }
    let campaign = Campaign::new(&sink, &everybody, &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    // A sender is refused whoever the mail is for, so some of those with a bad address may be among them.
    assert_eq!((accounts.because("sender_refused"), accounts.n("failed")), (EACH as u64, EACH));
    let bounced = accounts.because("refused_recipient") + accounts.because("refused_content");
    assert_eq!(accounts.n("bounced") as u64, bounced);
    assert_eq!(accounts.n("sent") + accounts.n("bounced") + accounts.n("failed"), 100 + 3 * EACH);
    assert!(accounts.n("sent") <= 100 && accounts.n("sent") >= 100 - EACH, "{accounts:?}");
    let said = accounts.report["refusals"].to_string();
    assert!(said.contains("a bad sender") && said.contains("as scripted"), "{said}");
}
