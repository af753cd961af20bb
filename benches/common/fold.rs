//! What the daemon does beside the writers of a SQLite file.

use indicia::store::Db;
use indicia::store::checkpoint::Checkpoints;

/// Keeps the log of a SQLite file short, as the daemon does.
pub async fn fold(db: &Db) {
    let Some(mut checkpoints) = Checkpoints::of(db).await.expect("the log") else { return };
    tokio::spawn(async move {
        loop {
            checkpoints.fold().await.expect("folded");
            tokio::time::sleep(Checkpoints::EVERY).await;
        }
    });
}
