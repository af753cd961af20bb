//! `indicia serve`

use super::{Exit, Failure, Global, Session};
use crate::app::serve::Daemon;

/// Run the daemon: dispatch, tracking, learning, pages
#[derive(Debug, clap::Args)]
pub struct Command {}

pub async fn run(_command: Command, global: &Global) -> Result<Exit, Failure> {
    let config = global.load()?;
    global.start_log(&config, None);
    let session = Session::open(config, global.json).await?;
    let daemon = Daemon::start(&session, None).await?;
    session.print(&daemon.ready)?;
    let served = daemon.serve().await;
    session.db.close().await;
    served.map(|()| Exit::Done)
}
