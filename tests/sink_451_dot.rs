//! Mails refused for now after the dot: sent again with the same Message-ID, or given up; a definite no is no doubt.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::Sink;

const PATIENT: usize = 60;
const HOPELESS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_after_the_dot() {
    let sink = Sink::start().await;
    let mut everybody = people(50);
    everybody.extend((0..PATIENT).map(|n| format!("g{n}+dot-grey@post.example")));
    everybody.extend((0..HOPELESS).map(|n| format!("h{n}+dot-451@mail.example")));
    let campaign = Campaign::new(&sink, &everybody, &[("RETRY__TRIES_MAX", "3")]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("failed")), (50 + PATIENT, HOPELESS));
    assert_eq!(accounts.because("given_up"), HOPELESS as u64);
    assert_eq!(accounts.n("in_doubt"), 0);
}
