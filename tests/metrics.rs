//! What `/metrics` of a daemon at work says agrees with what the daemon did.

use std::net::SocketAddr;

use crate::support::campaign::{Campaign, people};
use crate::support::daemon::Daemon;
use crate::support::sink::{At, Fault, Sink};
use crate::support::site;

const MEMBERS: usize = 60;

/// The sum of a metric over every line that names all of `labels`.
async fn read(daemon: &Daemon, name: &str, labels: &[&str]) -> Option<f64> {
    let address: SocketAddr = daemon.url("admin").trim_start_matches("http://").parse().expect("an address");
    let text = site::ask(address, "GET", "/metrics", "Host: 127.0.0.1\r\n", b"").await.text();
    let is_it = |line: &&str| line.starts_with(&format!("indicia_{name}")) && labels.iter().all(|l| line.contains(l));
    let values = text.lines().filter(is_it).map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()));
    values.reduce(|sum, one| Some(sum? + one?)).flatten()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_a_message_is_counted_where_it_came_to_pass() {
    let sink = Sink::start().await;
    let mut everybody = people(MEMBERS);
    everybody.extend((0..3).map(|n| format!("x{n}+rcpt-550@post.example")));
    everybody.extend((0..4).map(|n| format!("g{n}+dot-grey@mail.example")));
    let campaign = Campaign::new(&sink, &everybody, &[]);
    sink.script(Fault::say(At::Mail, "550 5.1.8 a bad sender").after(10).times(1));
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    let ended = async |labels: &[&str]| read(&daemon, "messages_total", labels).await;
    let route = r#"route="out""#;
    for state in ["sent", "bounced", "failed"] {
        let label = format!("state=\"{state}\"");
        assert_eq!(ended(&[&label, route]).await, Some(accounts.n(state) as f64), "{state}");
    }
    assert_eq!(ended(&[r#"state="deferred""#]).await, Some(4.0));
    assert!(ended(&[r#"state="sent""#, r#"provider="post""#]).await.is_some_and(|n| n > 0.0 && n < MEMBERS as f64));
    let timed = read(&daemon, "delivery_seconds_count", &[]).await.expect("deliveries were timed");
    assert!(timed >= accounts.n("sent") as f64, "{timed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_told() {
    let sink = Sink::start().await;
    sink.away().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.until(|shown| shown["state"] == "sending");
    let (mut waiting, begun) = (0.0, std::time::Instant::now());
    while begun.elapsed().as_secs() < 20 {
        let states = [r#"state="queued""#, r#"state="leased""#];
        waiting = read(&daemon, "queue_messages", &states[..1]).await.unwrap_or(0.0)
            + read(&daemon, "queue_messages", &states[1..]).await.unwrap_or(0.0);
        if waiting == MEMBERS as f64 {
            break;
        }
    }
    assert_eq!(waiting, MEMBERS as f64);
    assert_eq!(read(&daemon, "unlearned_events", &[]).await, Some(0.0));
}
