//! The ways by which mail comes back to a running daemon: a listener of its own, SMTP and LMTP, and a Maildir folder
//! that another mail system delivers into. Both end at one desk; a mail is durable before it is answered for or moved.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use super::config::Config;
use super::workers::Worker;
use crate::base::World;
use crate::flow::bounce::Desk;
use crate::smtp::listener::{Received, Receiver, Verdict};
use crate::store::StoreError;

/// Mails taken from a folder in one go.
const BATCH_MAX: usize = 50;

/// What kept mail from being taken in.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    #[error("[inbound] listen = {address}: {source}; is another daemon using that port?")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("[inbound] maildir: {}: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The door of the listener: it takes mail for the domains that envelope senders are made under, and for no other.
pub struct Door {
    pub desk: Desk,
    pub world: World,
    /// Lower case.
    pub domains: Vec<String>,
}

impl Door {
    /// The domains that mail comes back to.
    pub fn domains(config: &Config) -> Vec<String> {
        let of = |address: &str| address.rsplit_once('@').map_or(String::new(), |(_, domain)| domain.to_lowercase());
        let senders = config.senders.iter();
        senders.flat_map(|sender| [sender.bounce_domain.to_lowercase(), of(&sender.from)]).collect()
    }
}

impl Receiver for Door {
    fn knows(&self, recipient: &str) -> bool {
        let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.domains.iter().any(|known| known.eq_ignore_ascii_case(domain))
    }

    async fn receive(&self, mail: Received) -> Verdict {
        match self.desk.take_in(&mail.content, &mail.to, "smtp", self.world.now_ms()).await {
            Ok(taken) => {
                tracing::debug!(kind = %taken.kind, effect = %taken.effect, "a mail came back");
                Verdict::Taken
            }
            Err(error) => {
                tracing::error!(%error, "a returned mail was not taken in: {error}");
                Verdict::Later("cannot take it just now")
            }
        }
    }
}

/// A Maildir folder: what is in `new` is taken in, then moved to `cur`.
pub struct Maildir {
    pub desk: Desk,
    pub world: World,
    pub folder: PathBuf,
    pub mail_bytes_max: u64,
}

impl Worker for Maildir {
    type Error = InboundError;

    /// # Crash
    /// A mail that was taken in and not moved is taken in again, which changes nothing.
    async fn tick(&mut self) -> Result<bool, InboundError> {
        let new = self.folder.join("new");
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| InboundError::Folder { path, source }
        };
        let mut entries = tokio::fs::read_dir(&new).await.map_err(failed(&new))?;
        let mut taken = 0;
        while let Some(entry) = entries.next_entry().await.map_err(failed(&new))? {
            let path = entry.path();
            if !entry.file_type().await.map_err(failed(&path))?.is_file() {
                continue;
            }
            let mut raw = Vec::new();
            let file = tokio::fs::File::open(&path).await.map_err(failed(&path))?;
            file.take(self.mail_bytes_max).read_to_end(&mut raw).await.map_err(failed(&path))?;
            self.desk.take_in(&raw, &[], "maildir", self.world.now_ms()).await?;
            let mut name = entry.file_name();
            name.push(":2,S");
            let moved = self.folder.join("cur").join(name);
            tokio::fs::rename(&path, &moved).await.map_err(failed(&moved))?;
            taken += 1;
            if taken == BATCH_MAX {
                break;
            }
        }
        Ok(taken > 0)
    }
}
