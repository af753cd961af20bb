//! `kill -9` at random moments of a campaign: nobody is lost, nobody gets it twice, and only what was between its arm
//! and its reply is in doubt.
//!
//! `INDICIA_KILL_MAILS`, `INDICIA_KILL_TIMES` and `INDICIA_KILL_SEED` change what is tried; a debug build on two cores
//! takes about a minute.

use indicia::base::World;

use crate::support::campaign::{Campaign, people};
use crate::support::sink::Sink;

const MAILS: usize = 20_000;
const KILLS: usize = 20;
/// Connections of the route in the fixture: the most that one kill may leave in doubt.
const CONNECTIONS: usize = 4;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// At how many mails taken the daemon is killed: anywhere in the campaign, its first and last mails included, and
/// sometimes right after the kill before.
fn moments(seed: u64, kills: usize, mails: usize) -> Vec<usize> {
    let chance = World::seeded(seed, 0);
    let mut moments: Vec<usize> = (0..kills).map(|_| (chance.random() % (mails as u64 * 49 / 50)) as usize).collect();
    moments.sort_unstable();
    moments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_random_moments() {
    let (mails, kills) = (setting("INDICIA_KILL_MAILS", MAILS), setting("INDICIA_KILL_TIMES", KILLS));
    let seed = setting("INDICIA_KILL_SEED", World::system().random() as usize);
    eprintln!("INDICIA_KILL_SEED={seed} INDICIA_KILL_MAILS={mails} INDICIA_KILL_TIMES={kills}");
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(mails), &[]);
    let mut daemon = campaign.home.start();
    campaign.start(None);
    for moment in moments(seed as u64, kills, mails) {
        sink.wait_for(moment).await;
        daemon.kill();
        daemon = campaign.home.start();
    }
    let accounts = campaign.finished(&sink, &daemon);
    eprintln!("{} sent, {} in doubt, {} taken", accounts.n("sent"), accounts.n("in_doubt"), sink.count());
    assert_eq!(accounts.n("sent") + accounts.n("in_doubt"), mails, "{accounts:?}");
    assert!(accounts.n("in_doubt") <= CONNECTIONS * kills, "{accounts:?}");
}
