//! `indicia demo`

use std::path::PathBuf;

use super::{Exit, Failure, Global, Session, campaign};
use crate::app::demo;
use crate::app::serve::Daemon;

/// Show it all on this machine: a sample shop, a campaign, a mailbox to open the mails in
#[derive(Debug, clap::Args)]
pub struct Command {
    /// Where it keeps everything; delete it for a fresh start
    #[arg(long, value_name = "DIR", default_value = "indicia-demo")]
    folder: PathBuf,
}

pub async fn run(command: Command, global: &Global) -> Result<Exit, Failure> {
    let config = demo::config(&command.folder, &Global::environment())?;
    global.start_log(&config, Some("warn"));
    let session = Session::open(config, global.json).await?;
    let daemon = Daemon::start(&session, Some(demo::pages::router(session.db.clone()))).await?;
    session.print(&daemon.ready)?;
    let admin = daemon.ready.admin.clone();
    let filling = {
        let (session, admin) = (session.clone(), admin.clone());
        async move {
            demo::fill(&session, &admin).await?;
            campaign::watch(&session, demo::CAMPAIGN).await?;
            session.say(format_args!(
                "\nOpen {admin}/mailbox to read any member's mail, click its links and watch that member's tags change.\n\
                 Campaigns and members: {admin}/admin\n\
                 The files are in {}. Ctrl-C ends the demonstration.",
                session.config.folder.display()
            ));
            Ok::<(), Failure>(())
        }
    };
    let mut serving = std::pin::pin!(daemon.serve());
    let served = tokio::select! {
        served = &mut serving => served,
        filled = filling => match filled {
            Ok(()) => serving.await,
            Err(failure) => Err(failure),
        },
    };
    session.db.close().await;
    served.map(|()| Exit::Done)
}
