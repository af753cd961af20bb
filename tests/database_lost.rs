//! Every connection to PostgreSQL is cut, again and again, while a campaign is sent: what was being written is written
//! or not, and the mails come out exact.

use sqlx::{Connection as _, PgConnection};

use crate::support::campaign::{Campaign, people, sections};
use crate::support::daemon::Home;
use crate::support::db;
use crate::support::sink::Sink;

const MEMBERS: usize = 1_000;
const CUTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn again_and_again() {
    let Some(url) = db::postgres_url().await else { return };
    let sink = Sink::start().await;
    let campaign = Campaign::at(Home::on_postgres(&url, &sections(&sink)), &people(MEMBERS));
    let daemon = campaign.home.start();
    campaign.start(Some(400.0));
    let mut knife = PgConnection::connect(&url).await.expect("a connection of our own");
    for cut in 0..CUTS {
        sink.wait_for(MEMBERS * (cut + 1) / (CUTS + 2)).await;
        let ended: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_all(&mut knife)
        .await
        .expect("cut every connection");
        assert!(!ended.is_empty(), "the daemon had no connection to cut");
    }
    // Nobody died and every mail was answered: nothing may be in doubt.
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
    assert!(daemon.log_text().contains("turns were not written"), "no cut met a write:\n{}", daemon.log_text());
    assert_eq!(daemon.stop(), 0);
}
