//! Recipients refused for now: greylisting ends well, a refusal that never ends is given up after its tries.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::Sink;

const PATIENT: usize = 60;
const HOPELESS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn greylisted_and_hopeless() {
    let sink = Sink::start().await;
    let mut everybody = people(50);
    everybody.extend((0..PATIENT).map(|n| format!("g{n}+rcpt-grey@post.example")));
    everybody.extend((0..HOPELESS).map(|n| format!("h{n}+rcpt-451@mail.example")));
    let campaign = Campaign::new(&sink, &everybody, &[("RETRY__TRIES_MAX", "3")]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("failed")), (50 + PATIENT, HOPELESS));
    assert_eq!(accounts.because("given_up"), HOPELESS as u64);
}
