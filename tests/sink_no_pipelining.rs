//! A server that offers no PIPELINING, or knows only HELO, is spoken to one command at a time.

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{Setup, Sink};

const MEMBERS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_at_a_time() {
    for esmtp in [true, false] {
        let sink = Sink::with(Setup { pipelining: false, esmtp, ..Setup::default() }).await;
        let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
        let daemon = campaign.home.start();
        campaign.start(None);
        campaign.finished(&sink, &daemon).all_sent(MEMBERS);
        assert_eq!(sink.impatient(), 0, "a command came before the last was answered");
    }
}
