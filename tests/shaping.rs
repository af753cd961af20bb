//! How fast each provider is served: limits that are known are kept and used up, whoever sends.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::campaign::{Campaign, NAME, sections};
use crate::support::daemon::Home;
use crate::support::db;
use crate::support::sink::{Setup, Sink};

/// Mails per second of five domains.
const LIMITS: [(&str, f64); 5] =
    [("a.example", 2.0), ("b.example", 4.0), ("c.example", 8.0), ("d.example", 12.0), ("e.example", 20.0)];
const WINDOW_S: f64 = 10.0;
const RUNS_MAX: usize = 5;

/// Providers of these domains, named after their first letter, each with more keys.
fn providers(of: &[(&str, String)]) -> String {
    let mut text = "[throttle]\npauses_s = [0.3, 0.6]\nstep_s = 1.0\n".to_owned();
    for (domain, keys) in of {
        let _ = writeln!(text, "[[provider]]\nname = \"{}\"\ndomains = [\"{domain}\"]\n{keys}", &domain[..1]);
    }
    text
}

fn limited() -> String {
    providers(&LIMITS.map(|(domain, rate)| (domain, format!("per_second = {rate:?}"))))
}

/// So many seconds' worth of members of each domain.
fn members(seconds: f64) -> Vec<String> {
    let of =
        |(domain, rate): (&'static str, f64)| (0..(rate * seconds) as usize).map(move |n| format!("m{n}@{domain}"));
    LIMITS.into_iter().flat_map(of).collect()
}

/// The configuration with more connections than those who wait for an answer need.
fn wide(sink: &Sink) -> String {
    sections(sink).replace("connections = 4", "connections = 12")
}

fn campaign(home: Home, providers: &str, people: &[String]) -> Campaign {
    home.write("providers.toml", providers);
    Campaign::at(home, people)
}

/// The fewest and the most of sorted instants within any stretch of `seconds` that lies within their whole.
fn within(at: &[f64], seconds: f64) -> (usize, usize) {
    let mut at = at.to_vec();
    at.sort_by(f64::total_cmp);
    let (first, last) = (at[0], at[at.len() - 1]);
    let n = |from: f64| at.partition_point(|t| *t < from + seconds) - at.partition_point(|t| *t < from);
    let starts: Vec<f64> = at.iter().copied().filter(|from| *from >= first && from + seconds <= last).collect();
    let counts: Vec<usize> = starts.into_iter().map(n).collect();
    (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_limits_are_used_up_and_never_passed() {
    // A machine that stalls sends nothing meanwhile: that too little was sent counts when it was so in every run.
    let mut slow = Vec::new();
    while slow.len() < RUNS_MAX {
        match under_known_limits().await {
            None => return,
            Some(too_little) => slow.push(too_little),
        }
    }
    panic!("no run used the limits up: {slow:?}");
}

/// One campaign that may pass no limit; the limits that it did not use up.
async fn under_known_limits() -> Option<String> {
    let sink = Sink::with(Setup { limits: &LIMITS, ..Setup::default() }).await;
    let people = members(13.0);
    let campaign = campaign(Home::new(&wide(&sink)), &limited(), &people);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(people.len());
    assert_eq!(daemon.stop(), 0);
    let mut unused = String::new();
    for (domain, rate) in LIMITS {
        assert_eq!(sink.traffic(domain).refused, 0, "{domain} was served too fast");
        let (fewest, most) = within(&sink.taken_at(domain), WINDOW_S);
        let wanted = rate * WINDOW_S;
        println!("{domain}: {fewest} to {most} mails within {WINDOW_S} s, {wanted} wanted");
        let off = (wanted * 0.05).max(1.0);
        assert!(most as f64 <= wanted + off, "{domain}: {most} of {wanted}");
        if (fewest as f64) < wanted - off {
            let _ = write!(unused, "{domain}: {fewest} of {wanted}; ");
        }
    }
    Some(unused).filter(|unused| !unused.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_keep_a_limit_together_and_one_dies() {
    const LIMIT: (&str, f64) = ("a.example", 60.0);
    let Some(url) = db::postgres_url().await else { return };
    let sink = Sink::with(Setup { limits: &[LIMIT], ..Setup::default() }).await;
    let people: Vec<String> = (0..600).map(|n| format!("m{n}@a.example")).collect();
    let homes = [(); 3].map(|()| {
        let mut home = Home::on_postgres(&url, &sections(&sink));
        home.env("INDICIA__QUEUE__DEAD_AFTER", "5s");
        home.write("providers.toml", &providers(&[("a.example", format!("per_second = {:?}", LIMIT.1))]));
        home
    });
    let [first, second, third] = homes;
    let campaign = Campaign::at(first, &people);
    let (one, two, three) = (campaign.home.start(), second.start(), third.start());
    campaign.start(None);
    sink.wait_for(200).await;
    two.kill();
    let accounts = campaign.finished(&sink, &one);
    assert!(accounts.n("in_doubt") <= 4, "{accounts:?}");
    assert_eq!(accounts.n("sent") + accounts.n("in_doubt"), people.len());
    assert_eq!(sink.traffic(LIMIT.0).refused, 0);
    let (_, most) = within(&sink.taken_at(LIMIT.0), 2.0);
    assert!(most as f64 <= LIMIT.1 * 2.0 * 1.1 + 1.0, "{most} within 2 s");
    assert!(three.log_text().contains("is sending"), "it did not work");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_shared_and_given_up_after_so_many_mails() {
    let setup = Setup { delay: std::time::Duration::from_millis(10), ..Setup::default() };
    let sink = Sink::with(setup).await;
    let people: Vec<String> = (0..60).flat_map(|n| [format!("m{n}@a.example"), format!("m{n}@b.example")]).collect();
    let keys = [
        ("a.example", "connections = 2\nmails_per_connection = 7".to_owned()),
        ("b.example", "connections = 1".to_owned()),
    ];
    let home = |home: Home| {
        home.write("providers.toml", &providers(&keys));
        home
    };
    let campaign = Campaign::at(home(Home::new(&sections(&sink))), &people);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(people.len());
    let (a, b) = (sink.traffic("a.example"), sink.traffic("b.example"));
    assert_eq!((a.busy_max, b.busy_max), (2, 1));
    assert!(a.mails_max <= 7 && b.mails_max > 7, "{a:?} {b:?}");
    assert_eq!(daemon.stop(), 0);
    let Some(url) = db::postgres_url().await else { return };
    let sink = Sink::with(Setup { delay: std::time::Duration::from_millis(10), ..Setup::default() }).await;
    let campaign = Campaign::at(home(Home::on_postgres(&url, &sections(&sink))), &people);
    let other = home(Home::on_postgres(&url, &sections(&sink)));
    let daemons = [campaign.home.start(), other.start()];
    campaign.start(None);
    campaign.finished(&sink, &daemons[0]).all_sent(people.len());
    let (a, b) = (sink.traffic("a.example"), sink.traffic("b.example"));
    assert!(a.busy_max <= 2 && b.busy_max <= 1, "{a:?} {b:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_days_cap_holds_over_a_restart() {
    let sink = Sink::start().await;
    let at = |domain: &'static str| (0..80).map(move |n| format!("m{n}@{domain}"));
    let people: Vec<String> = ["a.example", "b.example", "c.example"].into_iter().flat_map(at).collect();
    let warm = "[[route.provider]]\nname = \"c\"\nwarm_up = 12\n[retry]";
    let home = Home::new(&sections(&sink).replace("[retry]", warm));
    let (a, c) = ("per_day = 30\nper_second = 40.0".to_owned(), String::new());
    home.write("providers.toml", &providers(&[("a.example", a), ("c.example", c)]));
    let campaign = Campaign::at(home, &people);
    let daemon = campaign.home.start();
    campaign.start(None);
    sink.wait_for(20).await;
    assert_eq!(daemon.stop(), 0);
    let _daemon = campaign.home.start();
    let sent = |shown: &Value| shown["by_state"]["sent"].as_u64();
    campaign.until(|shown| sent(shown) == Some(80 + 30 + 12) && shown["slowed"].as_array().map(Vec::len) == Some(2));
    let shown = campaign.home.json(&["campaign", "show", NAME]);
    for slowed in shown["slowed"].as_array().expect("a list") {
        assert!(slowed["why"].as_str().is_some_and(|why| why.ends_with("mails of today")), "{slowed}");
        assert!(slowed["closed_until_ms"].as_i64().is_some(), "{slowed}");
    }
    assert_eq!((sink.taken_at("a.example").len(), sink.taken_at("c.example").len()), (30, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_suspended_by_hand_waits_and_says_so() {
    let sink = Sink::start().await;
    let people: Vec<String> = (0..20).flat_map(|n| [format!("m{n}@a.example"), format!("m{n}@b.example")]).collect();
    let campaign = campaign(Home::new(&sections(&sink)), &providers(&[("a.example", String::new())]), &people);
    let daemon = campaign.home.start();
    campaign.home.done(&["shaping", "suspend", "a"]);
    campaign.start(None);
    campaign.until(|shown| shown["by_state"]["sent"] == 20);
    let shown = campaign.home.done(&["campaign", "show", NAME]).stdout;
    assert!(shown.contains("a over route out gets no mail until") && shown.contains("by hand"), "{shown}");
    assert!(campaign.home.done(&["shaping", "list"]).stdout.contains("closed until"));
    assert_eq!(sink.taken_at("a.example").len(), 0);
    campaign.home.done(&["shaping", "resume", "a"]);
    campaign.finished(&sink, &daemon).all_sent(people.len());
    let unknown = campaign.home.run(&["shaping", "suspend", "nobody"]);
    assert!(unknown.code != 0 && unknown.stderr.contains("one of:"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_that_we_are_too_fast_is_served_slower_and_gets_it_all() {
    const LIMIT: (&str, f64) = ("a.example", 30.0);
    let sink = Sink::with(Setup { limits: &[LIMIT], ..Setup::default() }).await;
    let people: Vec<String> = (0..200).map(|n| format!("m{n}@a.example")).collect();
    let home = Home::new(&sections(&sink));
    let slower =
        providers(&[("a.example", String::new())]).replace("0.3, 0.6", "1, 2").replace("step_s = 1.0", "step_s = 3");
    home.write("providers.toml", &slower);
    let campaign = Campaign::at(home, &people);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    accounts.all_sent(people.len());
    let refused = sink.traffic(LIMIT.0).refused;
    assert!((1..30).contains(&refused), "{refused} were refused:\n{}", daemon.log_text());
    assert!(daemon.log_text().contains("we are too fast"), "{}", daemon.log_text());
}
