//! A mailbox of another mail system as a way by which mail comes back: read over IMAP (RFC 9051, 3501) or POP3 (RFC
//! 1939).
//!
//! What is in there may be anybody's. So a mail is read without a trace, removed only when the caller says that it is
//! ours, and named by what the server promises to keep (UID with its UIDVALIDITY, UIDL). Everything that a server says
//! is bounded: lines, literals, lists, and the time for each.

mod imap;
mod pop3;
mod talk;

use std::collections::HashSet;

use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::smtp::{Tls, TlsConfigs};
use imap::Imap;
use pop3::Pop3;
pub use talk::TalkError;

crate::text_enum! {
    /// How a mailbox is read.
    pub enum Protocol { Imap = "imap", Pop3 = "pop3" }
}

impl Protocol {
    /// The port that is usual with an encryption.
    pub fn port(self, tls: Tls) -> u16 {
        match (self, tls) {
            (Protocol::Imap, Tls::Implicit) => 993,
            (Protocol::Imap, _) => 143,
            (Protocol::Pop3, Tls::Implicit) => 995,
            (Protocol::Pop3, _) => 110,
        }
    }
}

/// Where a mailbox is and how it is opened.
#[derive(Clone)]
pub struct Account {
    pub protocol: Protocol,
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub username: String,
    pub password: String,
    /// IMAP's folder.
    pub folder: String,
    /// Largest mail that is read.
    pub mail_bytes_max: usize,
    /// Certificates to trust besides the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Account { protocol, host, port, username, .. } = self;
        write!(f, "{protocol}://{username}@{host}:{port}")
    }
}

/// A mail that lies in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What the server calls it for ever; with IMAP after the UIDVALIDITY and a blank.
    pub uid: String,
    /// What the server calls it in this session.
    number: u32,
    pub bytes: u64,
}

/// A mailbox at hand.
pub enum Session {
    Imap(Box<Imap>),
    Pop3(Box<Pop3>),
}

impl Session {
    /// Connects, encrypts, signs in, opens the folder.
    ///
    /// # Errors
    /// [`TalkError`], never with the password in it.
    pub async fn open(account: &Account, tls: &TlsConfigs) -> Result<Session, TalkError> {
        let opened = match account.protocol {
            Protocol::Imap => Imap::open(account, tls).await.map(|imap| Session::Imap(Box::new(imap))),
            Protocol::Pop3 => Pop3::open(account, tls).await.map(|pop3| Session::Pop3(Box::new(pop3))),
        };
        // Some servers repeat what they do not understand, and we log what they say.
        opened.map_err(|error| error.without(&imap::quoted(&account.password)).without(&account.password))
    }

    /// Mails that were not looked at before, at most `most`, the oldest first; and which of `seen` are still worth
    /// remembering.
    ///
    /// # Errors
    /// [`TalkError`]
    pub async fn fresh(
        &mut self,
        seen: &HashSet<String>,
        most: usize,
    ) -> Result<(Vec<Letter>, HashSet<String>), TalkError> {
        match self {
            Session::Imap(imap) => imap.fresh(seen, most).await,
            Session::Pop3(pop3) => pop3.fresh(seen, most).await,
        }
    }

    /// The whole of a mail; `None`: it is gone.
    ///
    /// # Errors
    /// [`TalkError`]; a mail that is longer than it may be is one.
    pub async fn read(&mut self, letter: &Letter) -> Result<Option<Vec<u8>>, TalkError> {
        match self {
            Session::Imap(imap) => imap.read(letter.number).await,
            Session::Pop3(pop3) => pop3.read(letter.number).await,
        }
    }

    /// Removes a mail: with IMAP at once, with POP3 when the session is closed well.
    ///
    /// # Errors
    /// [`TalkError`]
    pub async fn remove(&mut self, letter: &Letter) -> Result<(), TalkError> {
        match self {
            Session::Imap(imap) => imap.remove(letter.number).await,
            Session::Pop3(pop3) => pop3.remove(letter.number).await,
        }
    }

    /// What is to be remembered of mails that were looked at, of which those stay that are `left`, besides `seen`.
    pub fn remember(&self, letters: &[Letter], left: &[String], mut seen: HashSet<String>) -> HashSet<String> {
        match self {
            // UIDs only rise: the last one says it all.
            Session::Imap(_) => letters.last().map_or(seen, |last| HashSet::from([last.uid.clone()])),
            Session::Pop3(_) => {
                seen.extend(left.iter().cloned());
                seen
            }
        }
    }

    /// Says good-bye.
    ///
    /// # Errors
    /// [`TalkError`]: then POP3 has removed nothing.
    pub async fn close(self) -> Result<(), TalkError> {
        match self {
            Session::Imap(imap) => imap.close().await,
            Session::Pop3(pop3) => pop3.close().await,
        }
    }
}
