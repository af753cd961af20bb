//! A server that stops answering: every step has its end, and only a mail whose dot was written is in doubt.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{Act, At, Fault, Sink};

const MEMBERS: usize = 150;
const SHORT: [(&str, &str); 7] = [
    ("SMTP__TIMEOUT_BANNER", "700ms"),
    ("SMTP__TIMEOUT_HELLO", "700ms"),
    ("SMTP__TIMEOUT_MAIL", "700ms"),
    ("SMTP__TIMEOUT_RCPT", "700ms"),
    ("SMTP__TIMEOUT_DATA", "700ms"),
    ("SMTP__TIMEOUT_RSET", "700ms"),
    // Longer, so that a slow machine is not taken for a silent server where it would leave doubts.
    ("SMTP__TIMEOUT_DOT", "3s"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_step() {
    let sink = Sink::start().await;
    for (at, after) in [(At::Banner, 0), (At::Hello, 0), (At::Mail, 20), (At::Rcpt, 30), (At::Data, 40)] {
        sink.script(Fault::new(at, Act::Hang).after(after).times(1));
    }
    let mut everybody = people(MEMBERS);
    for step in ["hang", "takehang"] {
        everybody.extend((0..2).map(|n| format!("{step}{n}+dot-{step}@post.example")));
    }
    let campaign = Campaign::new(&sink, &everybody, &SHORT);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("in_doubt")), (MEMBERS, 4), "{accounts:?}");
    assert_eq!(sink.count(), MEMBERS + 2);
}
