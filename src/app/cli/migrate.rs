//! `indicia migrate`

use super::session::open_db;
use super::{COMMAND_LOG_LEVEL, Exit, Failure, Global};

/// Bring the database's tables up to date (serve does it too)
#[derive(Debug, clap::Args)]
pub struct Command {}

pub async fn run(_: Command, global: &Global) -> Result<Exit, Failure> {
    let config = global.load()?;
    global.start_log(&config, Some(COMMAND_LOG_LEVEL));
    let db = open_db(&config).await?;
    db.migrate().await?;
    db.close().await;
    eprintln!("the tables are up to date");
    Ok(Exit::Done)
}
