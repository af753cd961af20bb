//! Several ways out: by weight, by what they are kept for, and when one of them is away for a while.

use serde_json::Value;

use crate::support::campaign::{Campaign, NAME, people, sections};
use crate::support::daemon::{Daemon, Home};
use crate::support::sink::Sink;

/// A campaign over two routes to two sinks, with more keys for each.
fn over_both(sinks: [&Sink; 2], keys: [&str; 2], members: usize, settings: &[(&str, &str)]) -> Campaign {
    let first = sections(sinks[0]).replace("hello_name", &format!("{}\nhello_name", keys[0]));
    let second = format!(
        "[[route]]\nname = \"second\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nconnections = 4\n\
         hello_name = \"test.example\"\n{}\n",
        sinks[1].port(),
        keys[1]
    );
    let mut home = Home::new(&format!("{first}{second}"));
    for (key, value) in settings {
        home.env(&format!("INDICIA__{key}"), value);
    }
    Campaign::at(home, &people(members))
}

/// Waits for the campaign's end, and for every mail to be at exactly one of the sinks.
fn finished(campaign: &Campaign, sinks: [&Sink; 2], members: usize, doubts_max: usize, daemon: &Daemon) {
    let ran = campaign.home.run(&["campaign", "wait", NAME, "--timeout", "120", "--json"]);
    assert!([0, 3].contains(&ran.code), "{}\n{}", ran.stderr, daemon.log_text());
    let shown: Value = serde_json::from_str(ran.stdout.trim()).expect("one object");
    let count = |state: &str| shown["by_state"][state].as_u64().unwrap_or(0) as usize;
    assert_eq!(count("sent") + count("in_doubt"), members, "{shown}");
    assert!(count("in_doubt") <= doubts_max, "{shown}");
    let mut taken = sinks[0].by_recipient();
    for (email, n) in sinks[1].by_recipient() {
        *taken.entry(email).or_default() += n;
    }
    assert!(taken.values().all(|n| *n == 1), "somebody got it twice: {taken:?}");
    assert!((count("sent")..=members).contains(&taken.len()), "{} of {shown}", taken.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_killed_in_the_midst_and_comes_back_and_has_its_share_again() {
    const MEMBERS: usize = 5_000;
    let (first, second) = (Sink::start().await, Sink::start().await);
    let settings = [("QUEUE__CLAIM_BATCH_MAX", "20")];
    let campaign = over_both([&first, &second], ["", ""], MEMBERS, &settings);
    let daemon = campaign.home.start();
    campaign.start(Some(300.0));
    second.wait_for(300).await;
    let share = second.count() as f64 / (first.count() + second.count()) as f64;
    assert!((0.4..0.6).contains(&share), "before: {share}");
    second.away().await;
    let before = (first.count(), second.count());
    first.wait_for(before.0 + 900).await;
    assert_eq!(second.count(), before.1, "it is away");
    second.back().await;
    let back = first.count();
    second.wait_for(before.1 + 1).await;
    assert!(first.count() - back < 300 * 20, "it took longer than 20 s to be used again");
    let again = (first.count(), second.count());
    second.wait_for(again.1 + 200).await;
    let got = (first.count() - again.0, second.count() - again.1);
    let share = got.1 as f64 / (got.0 + got.1) as f64;
    assert!((0.35..0.65).contains(&share), "after: {got:?}");
    finished(&campaign, [&first, &second], MEMBERS, 8, &daemon);
    assert_eq!(daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_takes_its_weight() {
    const MEMBERS: usize = 1_200;
    let (first, second) = (Sink::start().await, Sink::start().await);
    let keys = ["weight = 3.0", ""];
    let campaign = over_both([&first, &second], keys, MEMBERS, &[("QUEUE__CLAIM_BATCH_MAX", "20")]);
    let daemon = campaign.home.start();
    campaign.start(None);
    finished(&campaign, [&first, &second], MEMBERS, 0, &daemon);
    let share = first.count() as f64 / MEMBERS as f64;
    assert!((0.7..0.8).contains(&share), "{share} of them took the heavy one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_for_others_is_left_to_them() {
    let (first, second) = (Sink::start().await, Sink::start().await);
    let keys = ["for = [\"transactional\"]", "for = [\"marketing\"]"];
    let campaign = over_both([&first, &second], keys, 150, &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    finished(&campaign, [&first, &second], 150, 0, &daemon);
    assert_eq!((first.count(), second.count()), (0, 150));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_one_steps_in_while_the_one_kept_for_it_is_away() {
    let (first, second) = (Sink::start().await, Sink::start().await);
    let keys = ["for = [\"offers\"]", ""];
    let campaign = over_both([&first, &second], keys, 300, &[]);
    let daemon = campaign.home.start();
    campaign.start(Some(200.0));
    first.wait_for(100).await;
    assert_eq!(second.count(), 0, "the topic has a route of its own");
    first.away().await;
    finished(&campaign, [&first, &second], 300, 4, &daemon);
    assert!(second.count() > 100, "{}", second.count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_blocks_one_of_them_is_served_over_the_other() {
    use crate::support::sink::{At, Fault};
    let (first, second) = (Sink::start().await, Sink::start().await);
    first.script(
        Fault::say(At::Rcpt, "554 5.7.1 your IP address is blocked, listed at a blocklist").to("@post.example"),
    );
    let campaign = over_both([&first, &second], ["", ""], 600, &[("QUEUE__CLAIM_BATCH_MAX", "10")]);
    let daemon = campaign.home.start();
    campaign.start(Some(100.0));
    let ran = campaign.home.run(&["campaign", "wait", NAME, "--timeout", "120", "--json"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, daemon.log_text());
    let shown: Value = serde_json::from_str(ran.stdout.trim()).expect("one object");
    let bounced = shown["by_state"]["bounced"].as_u64().unwrap_or(0);
    assert!((5..100).contains(&bounced), "{shown}");
    assert_eq!(shown["by_state"]["sent"].as_u64(), Some(600 - bounced), "{shown}");
}
