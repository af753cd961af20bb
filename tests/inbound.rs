//! Mail comes back to a running daemon: over SMTP and LMTP, and from a Maildir folder.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::campaign::{Campaign, people};
use crate::support::sink::Sink;

/// Speaks lines to the listener and gives everything it answered.
async fn speak(address: SocketAddr, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the listener listens");
    stream.write_all((lines.join("\r\n") + "\r\nQUIT\r\n").as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

/// A bounce as old mailers write it: without a word of the mail it is about.
const GONE: &str = "From: MAILER-DAEMON@old.example\r\nSubject: failure notice\r\n\r\nHi. I wasn't able to deliver your message.\r\n\r\n\
                    <somebody@elsewhere.example>:\r\n192.0.2.1 does not like recipient.\r\nRemote host said: 550 5.1.1 no such user\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_every_way() {
    let sink = Sink::start().await;
    let settings = [("INBOUND__LISTEN", "127.0.0.1:0"), ("INBOUND__MAILDIR", "returned"), ("INBOUND__POLL", "20ms")];
    let campaign = Campaign::new(&sink, &people(4), &settings);
    for folder in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(campaign.home.path().join("returned").join(folder)).expect("make a Maildir");
    }
    let daemon = campaign.home.start();
    let address: SocketAddr = daemon.ready["inbound"].as_str().expect("an address").parse().expect("an address");
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(4);
    let from: HashMap<String, String> =
        sink.accepted().into_iter().map(|mail| (mail.to[0].clone(), mail.from.clone())).collect();
    let reason = |email: &str| {
        let shown = campaign.home.json(&["member", "show", email]);
        shown["suppressions"][0]["reason"].as_str().map(str::to_owned)
    };

    let rcpt = format!("RCPT TO:<{}>", from["m0@mail.example"].to_uppercase());
    let said = speak(address, &["EHLO x", "MAIL FROM:<>", &rcpt, "DATA", GONE, "."]).await;
    assert!(said.contains("250 2.0.0 taken"), "{said}");
    assert_eq!(reason("m0@mail.example").as_deref(), Some("hard_bounce"), "the envelope alone says whose it was");

    let rcpt = format!("RCPT TO:<{}>", from["m1@post.example"]);
    let said =
        speak(address, &["LHLO x", "MAIL FROM:<>", &rcpt, "RCPT TO:<postmaster@shop.example>", "DATA", GONE, "."])
            .await;
    assert_eq!(said.matches("250 2.0.0 taken").count(), 2, "LMTP answers for each recipient: {said}");
    assert_eq!(reason("m1@post.example").as_deref(), Some("hard_bounce"));

    let said = speak(address, &["EHLO x", "MAIL FROM:<>", "RCPT TO:<anna@elsewhere.example>"]).await;
    assert!(said.contains("550 5.1.1"), "it relays nothing: {said}");

    let mail = format!("Delivered-To: {}\r\n{GONE}", from["m2@letters.example"]);
    campaign.home.write("returned/tmp/1.x", &mail);
    let folder = campaign.home.path().join("returned");
    std::fs::rename(folder.join("tmp/1.x"), folder.join("new/1.x")).expect("deliver");
    // Every look is a process of its own: that is pause enough.
    let taken = (0..500).any(|_| reason("m2@letters.example").is_some());
    assert!(taken, "{}", daemon.log_text());
    let moved =
        (0..500).any(|_| campaign.home.done(&["template", "list"]).code == 0 && folder.join("cur/1.x:2,S").exists());
    assert!(moved && !folder.join("new/1.x").exists(), "a mail that was taken in is moved");
    assert_eq!(daemon.stop(), 0);
}
