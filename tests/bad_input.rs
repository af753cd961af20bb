//! Bad input at a running daemon's doors: each gets its clear error, and nothing else changes.

use std::net::SocketAddr;

use crate::support::campaign::{Campaign, NAME, people};
use crate::support::daemon::{Daemon, Home};
use crate::support::sink::{Sink, header};
use crate::support::site::ask;

const MEMBERS: usize = 20;

/// Everything of a database that bad input could have changed.
fn everything(home: &Home) -> Vec<String> {
    let listed = |arguments: &[&str]| home.done(arguments).stdout;
    vec![
        listed(&["segment", "count", "email is set", "--json"]),
        listed(&["segment", "count", "consent(\"offers\")", "--json"]),
        listed(&["segment", "list", "--json"]),
        listed(&["template", "list", "--json"]),
        listed(&["campaign", "list", "--json"]),
        listed(&["campaign", "report", NAME, "--json"]),
    ]
}

/// Runs a command that must fail with these words, and a fix.
fn refused(home: &Home, arguments: &[&str], words: &[&str]) {
    let ran = home.run(arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in:\n{}", ran.stderr);
    }
}

fn address(daemon: &Daemon, listener: &str) -> SocketAddr {
    daemon.url(listener).strip_prefix("http://").and_then(|rest| rest.parse().ok()).expect("an address")
}

/// A daemon that has sent its campaign, and the path of the unsubscribe link of one of its mails.
async fn sent() -> (Campaign, Sink, Daemon, String) {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
    let links = header(&sink.accepted()[0].head, "List-Unsubscribe").expect("a way out");
    let path = links.split(['<', '>']).find(|link| link.contains("/u/")).expect("a link in it");
    let path = path[path.find("/u/").expect("just found")..].to_owned();
    (campaign, sink, daemon, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_command_line() {
    let (campaign, _sink, _daemon, _) = sent().await;
    let home = &campaign.home;
    let before = everything(home);

    home.write("open.csv", "email,first_name\n\"anna@x.example,Anna\nboris@x.example,Boris\n");
    let broken = home.run(&["import", "members", "open.csv", "--strict"]);
    assert_eq!(broken.code, 1, "{}", broken.stdout);
    assert!(
        home.path().join("open.csv.rejected.csv").exists() || broken.stderr.contains("open.csv"),
        "{}",
        broken.stderr
    );
    home.write("nobody.csv", "naem,points\nAnna,5\n");
    refused(home, &["import", "members", "nobody.csv"], &["nobody.csv", "email", "naem"]);
    home.write("good.csv", "email,points\nanna@x.example,5\n");
    refused(home, &["import", "members", "good.csv", "--map", "punkte=points"], &["punkte", "points"]);

    home.write("templates/plain/en.html", "<p>{{ member.frist_name }}</p>");
    refused(home, &["template", "push", "templates"], &["en.html:1:", "frist_name"]);
    let campaign_file =
        |segment: &str| format!("name = \"other\"\ntemplate = \"plain\"\nsegment = '{segment}'\nsender = \"offers\"\n");
    home.write("typo.toml", &campaign_file("pionts >= 5"));
    refused(
        home,
        &["campaign", "start", "typo.toml"],
        &["typo.toml", "pionts", "did you mean `points`", "nothing was started"],
    );
    home.write("three.toml", &campaign_file("points >=").replace("plain", "plane").replace("offers", "offres"));
    refused(home, &["campaign", "start", "three.toml"], &["3 fault(s)", "plane", "offres", "segment"]);
    refused(home, &["campaign", "start", "campaign.toml"], &["already"]);
    assert_eq!(everything(home), before, "something changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_public_door() {
    let (campaign, _sink, daemon, path) = sent().await;
    let before = everything(&campaign.home);
    let http = address(&daemon, "http");
    let form = "Host: t.example\r\nContent-Type: application/x-www-form-urlencoded\r\n";

    let mut forged = path.clone().into_bytes();
    let last = forged.last_mut().expect("a token");
    *last = if *last == b'A' { b'B' } else { b'A' };
    forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("a path");
    let unsubscribe = b"List-Unsubscribe=One-Click";
    let one_click = format!("{form}Content-Length: {}\r\n", unsubscribe.len());
    let answer = ask(http, "POST", &forged, &one_click, unsubscribe).await;
    assert_eq!(answer.status, 404, "{}", answer.text());

    let body = vec![b'x'; 10 * 1024 * 1024];
    let answer = ask(http, "POST", &path, &format!("{form}Content-Length: {}\r\n", body.len()), &body).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    let answer = ask(http, "POST", "/nowhere", &format!("{form}Content-Length: {}\r\n", body.len()), &body).await;
    assert!((400..500).contains(&answer.status), "{}", answer.head);
    assert_eq!(everything(&campaign.home), before, "something changed");

    let answer = ask(http, "POST", &path, &one_click, unsubscribe).await;
    assert_eq!(answer.status, 200, "the true link works: {}", answer.text());
    assert_eq!(campaign.home.json(&["campaign", "report", NAME])["unsubscribed"], 1);
}
