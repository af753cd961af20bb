//! Mailboxes of other mail systems: what comes back is taken out of them, everything else stays where it is.

use std::sync::Arc;
use std::time::Duration;

use super::config::{self, Config};
use super::routes::{self, RouteError};
use super::workers::Worker;
use crate::base::World;
use crate::flow::bounce::Desk;
use crate::inbound::mailbox::{Account, Letter, Session, TalkError};
use crate::smtp::TlsConfigs;
use crate::store::{Lane, StoreError, mailbox};

/// Mails looked at in one session.
const BATCH_MAX: usize = 50;
/// How long one may last: who says a word a minute would be listened to for ever.
const SESSION_MAX: Duration = Duration::from_secs(3_600);

/// What kept a mailbox from being read.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    #[error("[[inbound.mailbox]] {name}: {source}")]
    Talk { name: String, source: TalkError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One mailbox.
pub struct Mailbox {
    /// Names it in what is remembered: another account or folder is another mailbox.
    pub name: String,
    pub account: Account,
    pub desk: Desk,
    pub world: World,
    pub tls: Arc<TlsConfigs>,
}

/// The account of a configured mailbox, with its files read.
///
/// # Errors
/// A password or certificate file that cannot be used.
pub fn account(config: &Config, mailbox: &config::InboundMailbox) -> Result<Account, RouteError> {
    let name = mailbox.name();
    let extra_roots = match &mailbox.ca_file {
        Some(file) => routes::certificates(&name, file)?,
        None => Vec::new(),
    };
    Ok(Account {
        protocol: mailbox.protocol,
        host: mailbox.host.clone(),
        port: mailbox.port,
        tls: mailbox.tls,
        username: mailbox.username.clone(),
        password: routes::password(&name, &mailbox.password_file)?,
        folder: mailbox.folder.clone(),
        mail_bytes_max: usize::try_from(config.inbound.mail_bytes_max).unwrap_or(usize::MAX),
        extra_roots,
    })
}

/// What became of the mails of a session.
#[derive(Default)]
struct Looked {
    letters: Vec<Letter>,
    /// Those that stay.
    left: Vec<String>,
    /// The server gave none of the mails after these.
    refused: Option<TalkError>,
}

impl Worker for Mailbox {
    type Error = MailboxError;

    /// # Crash
    /// A mail that was taken in and not removed is taken in again, which changes nothing.
    async fn tick(&mut self) -> Result<bool, MailboxError> {
        let late = TalkError::Endless(SESSION_MAX);
        let ended = tokio::time::timeout(SESSION_MAX, self.session()).await;
        ended.unwrap_or(Err(MailboxError::Talk { name: self.name.clone(), source: late }))
    }
}

impl Mailbox {
    async fn session(&self) -> Result<bool, MailboxError> {
        let failed = |source| MailboxError::Talk { name: self.name.clone(), source };
        let mut reader = self.desk.db.reader().await?;
        let before = mailbox::seen(reader.conn(), &self.name).await?;
        drop(reader);
        let mut session = Session::open(&self.account, &self.tls).await.map_err(failed)?;
        let (letters, still) = session.fresh(&before, BATCH_MAX).await.map_err(failed)?;
        let looked = self.look(&mut session, letters).await?;
        let now = session.remember(&looked.letters, &looked.left, still);
        // POP3 removes when it is told good-bye: what stays is remembered whether or not that is heard.
        let closed = session.close().await.map_err(failed);
        if now != before {
            let mut tx = self.desk.db.begin(Lane::Event).await?;
            mailbox::remember(tx.conn(), &self.name, &before, &now, self.world.now_ms()).await?;
            tx.commit().await?;
        }
        match looked.refused {
            Some(error) => Err(failed(error)),
            None => closed.map(|()| looked.letters.len() == BATCH_MAX),
        }
    }

    /// Takes in what has come, and removes what is ours. A mail that the server will not give is passed over if it
    /// gives one behind it, else asked for again next time: the one is the mail's fault, the other the server's mood.
    async fn look(&self, session: &mut Session, letters: Vec<Letter>) -> Result<Looked, MailboxError> {
        let failed = |source| MailboxError::Talk { name: self.name.clone(), source };
        let mut looked = Looked::default();
        let mut settled = (0, 0);
        for letter in letters {
            let bytes_max = self.account.mail_bytes_max;
            let read = match letter.bytes > bytes_max as u64 {
                true => Err(TalkError::TooLong { bytes: letter.bytes, bytes_max }),
                false => session.read(&letter).await,
            };
            let (ours, is_broken) = match read {
                Ok(Some(raw)) => {
                    let taken = self.desk.take_in(&raw, &[], "mailbox", self.world.now_ms()).await?;
                    tracing::debug!(kind = %taken.kind, effect = %taken.effect, "a mail came back");
                    (taken.ours.is_some(), false)
                }
                Ok(None) => (false, false),
                Err(error @ TalkError::TooLong { .. }) => {
                    tracing::warn!(mailbox = %self.name, "a mail stays unread: {error}");
                    // What was announced was not asked for; what comes unannounced stands in the way of all that
                    // follows.
                    (false, letter.bytes <= bytes_max as u64)
                }
                Err(error @ TalkError::Refused { .. }) => {
                    looked.left.push(letter.uid.clone());
                    looked.letters.push(letter);
                    looked.refused = looked.refused.or(Some(error));
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            if let Some(error) = looked.refused.take() {
                tracing::warn!(mailbox = %self.name, "a mail stays unread: {error}");
            }
            if ours {
                session.remove(&letter).await.map_err(failed)?;
            } else {
                looked.left.push(letter.uid.clone());
            }
            looked.letters.push(letter);
            settled = (looked.letters.len(), looked.left.len());
            if is_broken {
                break;
            }
        }
        looked.letters.truncate(settled.0);
        looked.left.truncate(settled.1);
        Ok(looked)
    }
}
