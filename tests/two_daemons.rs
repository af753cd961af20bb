//! Two daemons on one PostgreSQL: they share the work and the rate, and one takes over what the other held when it
//! died.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::campaign::{Campaign, NAME, people, sections, write_providers};
use crate::support::daemon::Home;
use crate::support::db;
use crate::support::sink::Sink;

const CONNECTIONS: usize = 4;

/// A campaign, and a second home on its database.
async fn pair(sink: &Sink, members: usize, settings: &[(&str, &str)]) -> Option<(Campaign, Home)> {
    let url = db::postgres_url().await?;
    let home = || {
        let mut home = Home::on_postgres(&url, &sections(sink));
        for (key, value) in settings {
            home.env(&format!("INDICIA__{key}"), value);
        }
        write_providers(&home);
        home
    };
    Some((Campaign::at(home(), &people(members)), home()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_killed_in_turn_and_the_other_takes_over() {
    const MEMBERS: usize = 1_500;
    const KILLS: usize = 5;
    let sink = Sink::start().await;
    let Some((campaign, other)) = pair(&sink, MEMBERS, &[]).await else { return };
    let mut daemons = [campaign.home.start(), other.start()];
    campaign.start(Some(400.0));
    for kill in 0..KILLS {
        sink.wait_for(MEMBERS * (kill + 1) / (KILLS + 2)).await;
        let [next, kept] = daemons;
        next.kill();
        // Whoever was killed longest ago dies last.
        daemons = [kept, if kill % 2 == 0 { campaign.home.start() } else { other.start() }];
    }
    let accounts = campaign.finished(&sink, &daemons[0]);
    assert!(accounts.n("in_doubt") <= CONNECTIONS * KILLS, "{accounts:?}");
    assert_eq!(accounts.n("sent") + accounts.n("in_doubt"), MEMBERS, "{accounts:?}");
    for daemon in daemons {
        assert!(daemon.log_text().contains("is sending"), "only one of them worked");
        assert_eq!(daemon.stop(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_only_frozen_does_no_harm_when_it_wakes() {
    const MEMBERS: usize = 800;
    let sink = Sink::start().await;
    let Some((campaign, other)) = pair(&sink, MEMBERS, &[]).await else { return };
    let (awake, frozen) = (campaign.home.start(), other.start());
    campaign.start(Some(200.0));
    campaign.until(|_| frozen.log_text().contains("is sending") && awake.log_text().contains("is sending"));
    sink.wait_for(MEMBERS / 4).await;
    let pid = Pid::from_raw(frozen.pid() as i32).expect("a process");
    kill_process(pid, Signal::STOP).expect("freeze it");
    campaign.until(|_| awake.log_text().contains("took back what a dead daemon held"));
    kill_process(pid, Signal::CONT).expect("wake it");
    assert_eq!(frozen.wait(), 0, "it learns that it was given up, and ends in order");
    let accounts = campaign.finished(&sink, &awake);
    assert!(accounts.n("in_doubt") <= CONNECTIONS, "{accounts:?}");
    assert_eq!(accounts.n("sent") + accounts.n("in_doubt"), MEMBERS, "{accounts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_together_keep_the_rate_of_the_route() {
    const MEMBERS: usize = 1_000;
    const RATE: usize = 100;
    const WINDOW_MS: i64 = 4_000;
    let sink = Sink::start().await;
    let settings = [("ROUTE__0__PER_SECOND", "100.0")];
    let Some((campaign, other)) = pair(&sink, MEMBERS, &settings).await else { return };
    let daemons = [campaign.home.start(), other.start()];
    campaign.start(None);
    campaign.finished(&sink, &daemons[0]).all_sent(MEMBERS);
    for daemon in &daemons {
        assert!(daemon.log_text().contains("is sending"), "only one of them worked");
    }
    let list = campaign.home.done(&["message", "list", "--campaign", NAME, "--json"]).stdout;
    let row = |line: &str| serde_json::from_str::<Value>(line).expect("a line is an object");
    let mut sent: Vec<i64> = list.lines().map(|line| row(line)["sent_at_ms"].as_i64().expect("a time")).collect();
    sent.sort_unstable();
    let busiest = (0..sent.len()).map(|at| sent[at..].partition_point(|sent_at| *sent_at < sent[at] + WINDOW_MS)).max();
    // Five grants of a second's tokens fall into four seconds, and each daemon may still hold one from before. Two that
    // knew nothing of each other would reach 800.
    let most = RATE * 7 + 2 * CONNECTIONS;
    assert!(busiest.is_some_and(|busiest| busiest <= most), "{busiest:?} mails within {WINDOW_MS} ms, at most {most}");
}
