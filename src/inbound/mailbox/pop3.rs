//! POP3, RFC 1939, with STLS (RFC 2595).

use std::collections::HashSet;
use std::io;

use super::talk::{Talk, TalkError};
use super::{Account, Letter};
use crate::base::text::clean;
use crate::smtp::{Tls, TlsConfigs};

/// Most mails of a mailbox that are looked at.
const MAILS_MAX: usize = 1_000_000;
/// Longest answer quoted, bytes.
const SAID_BYTES_MAX: usize = 200;

pub struct Pop3 {
    talk: Talk,
    mail_bytes_max: usize,
}

impl Pop3 {
    pub async fn open(account: &Account, tls: &TlsConfigs) -> Result<Pop3, TalkError> {
        let config = tls.trusting(&account.extra_roots);
        let socket = Talk::connect(&account.host, account.port).await?;
        let talk = match account.tls {
            Tls::Implicit => Talk::tls(socket, &account.host, config.clone()).await?,
            _ => Talk::plain(socket),
        };
        let mut pop3 = Pop3 { talk, mail_bytes_max: account.mail_bytes_max };
        pop3.reply("greet us").await?;
        if account.tls == Tls::StartTls {
            pop3.ask("STLS", "begin TLS").await?;
            pop3.talk = pop3.talk.encrypt(&account.host, config).await?;
        }
        pop3.ask(&format!("USER {}", account.username), "take the user name").await?;
        pop3.ask(&format!("PASS {}", account.password), "take the password").await?;
        Ok(pop3)
    }

    /// Says a command and reads `+OK`. The command is never quoted: it may be the password.
    async fn ask(&mut self, command: &str, doing: &'static str) -> Result<String, TalkError> {
        self.talk.say(command).await?;
        self.reply(doing).await
    }

    async fn reply(&mut self, doing: &'static str) -> Result<String, TalkError> {
        let line = self.talk.text().await?;
        match line.strip_prefix("+OK") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None if line.starts_with("-ERR") => Err(TalkError::Refused { doing, said: clean(&line, SAID_BYTES_MAX) }),
            None => Err(TalkError::Nonsense(clean(&line, SAID_BYTES_MAX))),
        }
    }

    /// The lines of a listing: a number and a word each.
    async fn listing(&mut self, command: &str, doing: &'static str) -> Result<Vec<(u32, String)>, TalkError> {
        self.ask(command, doing).await?;
        let mut rows = Vec::new();
        loop {
            let line = self.talk.text().await?;
            if line == "." {
                return Ok(rows);
            }
            let row = line.split_once(' ').and_then(|(number, word)| {
                let word = word.split(' ').next().filter(|word| is_name(word))?;
                Some((number.parse().ok()?, word.to_owned()))
            });
            rows.push(row.ok_or_else(|| TalkError::Nonsense(clean(&line, SAID_BYTES_MAX)))?);
            if rows.len() > MAILS_MAX {
                return Err(TalkError::Nonsense(format!("a list of more than {MAILS_MAX} mails")));
            }
        }
    }

    pub async fn fresh(
        &mut self,
        seen: &HashSet<String>,
        most: usize,
    ) -> Result<(Vec<Letter>, HashSet<String>), TalkError> {
        let named = self.listing("UIDL", "name its mails (UIDL)").await?;
        let sizes = self.listing("LIST", "list its mails").await?;
        let still = named.iter().map(|(_, uid)| uid).filter(|uid| seen.contains(*uid)).cloned().collect();
        let mut fresh: Vec<Letter> = Vec::new();
        for (number, uid) in named.into_iter().filter(|(_, uid)| !seen.contains(uid)).take(most) {
            let bytes = sizes.iter().find(|(listed, _)| *listed == number).and_then(|(_, size)| size.parse().ok());
            fresh.push(Letter { uid, number, bytes: bytes.unwrap_or(0) });
        }
        Ok((fresh, still))
    }

    pub async fn read(&mut self, number: u32) -> Result<Option<Vec<u8>>, TalkError> {
        self.ask(&format!("RETR {number}"), "give a mail").await?;
        let mut mail = Vec::new();
        loop {
            // Anybody may write a mail of one long line: it must not stand in the way of all others.
            let line = match self.talk.line(self.mail_bytes_max).await {
                Err(TalkError::LineTooLong { bytes_max }) => {
                    return Err(TalkError::TooLong { bytes: bytes_max as u64 + 1, bytes_max });
                }
                line => line?,
            };
            if line == b"." {
                return Ok(Some(mail));
            }
            mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            mail.extend_from_slice(b"\r\n");
            if mail.len() > self.mail_bytes_max {
                return Err(TalkError::TooLong { bytes: mail.len() as u64, bytes_max: self.mail_bytes_max });
            }
        }
    }

    pub async fn remove(&mut self, number: u32) -> Result<(), TalkError> {
        self.ask(&format!("DELE {number}"), "remove a mail").await.map(|_| ())
    }

    pub async fn close(mut self) -> Result<(), TalkError> {
        match self.ask("QUIT", "remove what was removed").await {
            // Some hang up instead of answering.
            Err(TalkError::Lost(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(TalkError::Lost(error)),
            Err(error @ TalkError::Refused { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether a word can be what a server calls a mail (RFC 1939 §7).
fn is_name(word: &str) -> bool {
    (1..=70).contains(&word.len()) && word.bytes().all(|c| c.is_ascii_graphic())
}
