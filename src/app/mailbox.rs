//! The built-in mailbox, started from its part of the configuration; and the route that leads to it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config;
use crate::base::World;
use crate::smtp::listener::{self, Limits};
use crate::smtp::mailbox::{Bounds, Mailbox, MailboxError};
use crate::smtp::{Route, Tls};

/// What kept the mailbox from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Folder(#[from] MailboxError),
    #[error("[mailbox] listen = {address}: {source}; is another daemon using that port?")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// A mailbox that takes mail.
pub struct RunningMailbox {
    pub mailbox: Arc<Mailbox>,
    /// Where its SMTP listener is, the port chosen.
    pub address: SocketAddr,
    /// Ends after the stop, when the mails at hand are kept.
    pub task: JoinHandle<()>,
}

impl RunningMailbox {
    /// Opens the folder and listens, until `stop`.
    ///
    /// # Errors
    /// A folder or an address that is not to be had.
    pub async fn start(
        config: &config::Mailbox,
        world: World,
        stop: CancellationToken,
    ) -> Result<RunningMailbox, StartError> {
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let bounds = Bounds { mails_max: config.mails_max as usize, bytes_max: config.bytes_max };
        let mailbox = Arc::new(Mailbox::open(&config.folder, bounds, world)?);
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let mail_bytes_max = usize::try_from(config.mail_bytes_max).unwrap_or(usize::MAX);
        let limits = Limits { mail_bytes_max, ..Limits::default() };
        let task = tokio::spawn(listener::serve(listener, Arc::clone(&mailbox), limits, stop));
        Ok(RunningMailbox { mailbox, address, task })
    }

    /// The way there, as a route like any other.
    pub fn route(&self) -> Route {
        Route::new("mailbox", &self.address.ip().to_string(), self.address.port(), Tls::None)
    }
}
