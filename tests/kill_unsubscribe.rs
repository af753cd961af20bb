//! Whoever was told that he is unsubscribed is, whatever happens to the daemon in the next instant.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{Sink, header};

const MEMBERS: usize = 600;
/// How many answers come before the kill.
const ANSWERED: usize = 100;

/// Presses the button of RFC 8058, and tells whether the answer was yes.
async fn unsubscribe(address: SocketAddr, path: String) -> bool {
    let body = "List-Unsubscribe=One-Click";
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let mut answer = Vec::new();
    let asked = stream.write_all(request.as_bytes()).await.is_ok();
    // Of a killed daemon's answer, what came before the end still counts.
    let _ = stream.read_to_end(&mut answer).await;
    asked && answer.starts_with(b"HTTP/1.1 200")
}

fn path_of(head: &str) -> String {
    let links = header(head, "List-Unsubscribe").expect("a way out in every mail");
    let link = links.split(['<', '>']).find(|link| link.contains("/u/")).expect("a web link");
    link[link.find("/u/").expect("just found")..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_is_kept() {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
    let address: SocketAddr = daemon.url("http").strip_prefix("http://").expect("a URL").parse().expect("an address");

    let mut asking = JoinSet::new();
    for mail in sink.accepted() {
        asking.spawn(unsubscribe(address, path_of(&mail.head)));
    }
    let mut promised = 0;
    while promised < ANSWERED {
        let answered = asking.join_next().await.expect("answers before the kill").expect("no panic");
        promised += usize::from(answered);
    }
    daemon.kill();
    while let Some(answered) = asking.join_next().await {
        promised += usize::from(answered.expect("no panic"));
    }

    let daemon = campaign.home.start();
    let consenting = campaign.home.json(&["segment", "count", "consent(\"offers\")"]);
    let gone = MEMBERS - consenting["count"].as_u64().expect("a count") as usize;
    assert!(gone >= promised, "{promised} were told, {gone} are unsubscribed");
    assert_eq!(daemon.stop(), 0);
}
