//! A campaign that does harm is paused by itself and says why; a provider that refuses us is left alone for a while.

use crate::support::campaign::{Campaign, NAME, people};
use crate::support::sink::{At, Fault, Sink};

/// Mails per second: slow enough that the breakers look in the midst of it.
const SLOW: f64 = 60.0;

/// `n` good addresses with a bad one after every fourth.
fn mixed(n: usize) -> Vec<String> {
    let bad = (0..n / 4).map(|at| format!("gone{at}@post.example"));
    let mut all: Vec<String> = Vec::new();
    let mut bad = bad.into_iter();
    for (at, good) in people(n).into_iter().enumerate() {
        all.push(good);
        if at % 4 == 3 {
            all.extend(bad.next());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_addresses_pause_the_campaign_and_a_resume_begins_anew() {
    let sink = Sink::start().await;
    sink.script(Fault::say(At::Rcpt, "550 5.1.1 no such user here").to("gone"));
    let everybody = mixed(240);
    let campaign = Campaign::new(&sink, &everybody, &[("BREAKER__AFTER", "40")]);
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    campaign.until(|shown| shown["state"] == "paused");
    let paused = campaign.accounts(&sink);
    assert!(paused.n("queued") > 0, "it was paused too late to show anything: {paused:?}");
    let shown = campaign.home.json(&["campaign", "show", NAME]);
    let why = shown["why"].as_str().unwrap_or_default();
    for part in ["paused by itself", "addresses that do not exist", "no such user here", "resume"] {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
    campaign.home.done(&["campaign", "resume", NAME]);
    campaign.until(|shown| shown["state"] == "paused" || shown["state"] == "finished");
    let again = campaign.accounts(&sink);
    let since = (again.n("sent") + again.n("bounced")) - (paused.n("sent") + paused.n("bounced"));
    assert!(since >= 40, "what was known before counted again: {paused:?} then {again:?}");
    assert_eq!(daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failed_authentication_is_enough() {
    let sink = Sink::start().await;
    sink.script(Fault::say(At::Dot, "550 5.7.26 this mail is unauthenticated: SPF and DKIM failed").times(1));
    let campaign = Campaign::new(&sink, &people(200), &[]);
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    campaign.until(|shown| shown["state"] == "paused");
    let shown = campaign.home.json(&["campaign", "show", NAME]);
    assert!(shown["why"].as_str().unwrap_or_default().contains("indicia doctor"), "{shown}");
    campaign.home.done(&["campaign", "resume", NAME]);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("bounced")), (199, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_blocks_us_is_left_alone_and_nobody_else() {
    let sink = Sink::start().await;
    sink.script(
        Fault::say(At::Rcpt, "554 5.7.1 your IP address is blocked, listed at a blocklist")
            .to("@post.example")
            .times(5),
    );
    let campaign = Campaign::new(&sink, &people(240), &[("BREAKER__BLOCK_PAUSE", "5s")]);
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    campaign.until(|shown| shown["slowed"][0]["why"] == "refused our address 5 times within an hour");
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!(accounts.n("sent") + accounts.n("bounced"), 240, "{accounts:?}");
    let log = daemon.log_text();
    assert!(log.contains("refused our address 5 times within an hour"), "{log}");
}
