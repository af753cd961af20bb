//! As much of IMAP4rev1 (RFC 3501) and rev2 (RFC 9051) as it takes to read a folder and to remove from it, with UIDPLUS
//! (RFC 4315): `EXPUNGE` alone would remove what others have marked.

use std::collections::{BTreeMap, HashSet};

use super::talk::{LINE_BYTES_MAX, Talk, TalkError};
use super::{Account, Letter};
use crate::base::text::clean;
use crate::smtp::{Tls, TlsConfigs};

/// Most literals of one response, and most responses to one command.
const LITERALS_MAX: usize = 8;
const RESPONSES_MAX: usize = 1_000_000;
/// Longest literal that is no mail, bytes.
const LITERAL_BYTES_MAX: usize = 16 * 1024;
/// Longest answer quoted, bytes.
const SAID_BYTES_MAX: usize = 200;

pub struct Imap {
    talk: Talk,
    tag: u32,
    mail_bytes_max: usize,
    /// Names the UIDs of this folder: under another one they mean other mails.
    validity: u32,
    has_uidplus: bool,
}

/// A response: its line, each literal's place taken by `{}`, and the literals.
#[derive(Debug, Default)]
struct Response {
    line: String,
    literals: Vec<Vec<u8>>,
}

impl Response {
    /// The number after a word, as in `UID 34`.
    fn number(&self, word: &str) -> Option<u64> {
        let upper = self.line.to_ascii_uppercase();
        let mut words = upper.split([' ', '(', ')', '[', ']']);
        words.find(|found| *found == word)?;
        words.find(|found| !found.is_empty())?.parse().ok()
    }

    fn is_fetch(&self) -> bool {
        self.line.split(' ').nth(2).is_some_and(|word| word.eq_ignore_ascii_case("FETCH"))
    }
}

impl Imap {
    pub async fn open(account: &Account, tls: &TlsConfigs) -> Result<Imap, TalkError> {
        let config = tls.trusting(&account.extra_roots);
        let socket = Talk::connect(&account.host, account.port).await?;
        let talk = match account.tls {
            Tls::Implicit => Talk::tls(socket, &account.host, config.clone()).await?,
            _ => Talk::plain(socket),
        };
        let mail_bytes_max = account.mail_bytes_max;
        let mut imap = Imap { talk, tag: 0, mail_bytes_max, validity: 0, has_uidplus: false };
        let greeting = imap.response().await?.line;
        if !greeting.to_ascii_uppercase().starts_with("* OK") {
            return Err(TalkError::Refused { doing: "greet us", said: clean(&greeting, SAID_BYTES_MAX) });
        }
        if account.tls == Tls::StartTls {
            imap.ask("STARTTLS", "begin TLS", |_| ()).await?;
            imap.talk = imap.talk.encrypt(&account.host, config).await?;
        }
        let login = format!("LOGIN {} {}", quoted(&account.username), quoted(&account.password));
        imap.ask(&login, "sign us in", |_| ()).await?;
        imap.look_what_it_can().await?;
        imap.select(&account.folder).await?;
        Ok(imap)
    }

    async fn look_what_it_can(&mut self) -> Result<(), TalkError> {
        let mut has = false;
        self.ask("CAPABILITY", "say what it can", |said| {
            let line = said.line.to_ascii_uppercase();
            let is_list = line.starts_with("* CAPABILITY");
            // Rev 2 has it built in.
            has |= is_list && line.split(' ').any(|word| word == "UIDPLUS" || word == "IMAP4REV2");
        })
        .await?;
        self.has_uidplus = has;
        Ok(())
    }

    async fn select(&mut self, folder: &str) -> Result<(), TalkError> {
        let mut validity = None;
        let select = format!("SELECT {}", quoted(folder));
        self.ask(&select, "open the folder", |said| {
            validity = validity.or(said.number("UIDVALIDITY").and_then(|number| u32::try_from(number).ok()));
        })
        .await?;
        self.validity = validity.ok_or(TalkError::Missing("UIDVALIDITY"))?;
        Ok(())
    }

    /// Says a command, hands every untagged response to `hear`, and reads the tagged one. The command is never quoted.
    async fn ask(
        &mut self,
        command: &str,
        doing: &'static str,
        mut hear: impl FnMut(&mut Response),
    ) -> Result<(), TalkError> {
        self.tag += 1;
        let tag = format!("i{}", self.tag);
        self.talk.say(&format!("{tag} {command}")).await?;
        for _ in 0..RESPONSES_MAX {
            let mut said = self.response().await?;
            match said.line.strip_prefix(&tag).and_then(|rest| rest.strip_prefix(' ')) {
                Some(rest) if rest.get(..2).is_some_and(|word| word.eq_ignore_ascii_case("OK")) => return Ok(()),
                Some(rest) => return Err(TalkError::Refused { doing, said: clean(rest, SAID_BYTES_MAX) }),
                None if is_bye(&said.line) => {
                    return Err(TalkError::Refused { doing, said: clean(&said.line, SAID_BYTES_MAX) });
                }
                None if said.line.starts_with("* ") => hear(&mut said),
                None => return Err(TalkError::Nonsense(clean(&said.line, SAID_BYTES_MAX))),
            }
        }
        Err(TalkError::Nonsense(format!("more than {RESPONSES_MAX} responses to one command")))
    }

    /// The next response, its literals read.
    async fn response(&mut self) -> Result<Response, TalkError> {
        let mut response = Response::default();
        loop {
            let line = self.talk.text().await?;
            let Some((before, len)) = literal(&line) else {
                response.line.push_str(&line);
                return Ok(response);
            };
            let is_mail = before.to_ascii_uppercase().trim_end().ends_with("BODY[]");
            let bytes_max = if is_mail { self.mail_bytes_max } else { LITERAL_BYTES_MAX };
            if len > bytes_max as u64 {
                return Err(TalkError::TooLong { bytes: len, bytes_max });
            }
            if response.literals.len() == LITERALS_MAX || response.line.len() + before.len() > LINE_BYTES_MAX {
                return Err(TalkError::Nonsense("a response with too many literals".to_owned()));
            }
            response.line.push_str(before);
            response.line.push_str("{}");
            response.literals.push(self.talk.exactly(len as usize).await?);
        }
    }

    pub async fn fresh(
        &mut self,
        seen: &HashSet<String>,
        most: usize,
    ) -> Result<(Vec<Letter>, HashSet<String>), TalkError> {
        let last = seen.iter().filter_map(|uid| self.number_of(uid)).max().unwrap_or(0);
        let still = seen.iter().filter(|uid| self.number_of(uid).is_some()).cloned().collect();
        let Some(first) = last.checked_add(1) else { return Ok((Vec::new(), still)) };
        let mut found: BTreeMap<u32, u64> = BTreeMap::new();
        self.ask(&format!("UID FETCH {first}:* (UID RFC822.SIZE)"), "list its mails", |said| {
            let number = said.number("UID").and_then(|number| u32::try_from(number).ok());
            // "n:*" always means the last mail too, however low its number.
            if let Some(number) = number.filter(|number| said.is_fetch() && *number >= first) {
                found.insert(number, said.number("RFC822.SIZE").unwrap_or(0));
                if found.len() > most {
                    found.pop_last();
                }
            }
        })
        .await?;
        let letter = |(number, bytes): (u32, u64)| Letter { uid: format!("{} {number}", self.validity), number, bytes };
        Ok((found.into_iter().map(letter).collect(), still))
    }

    /// The UID behind what was remembered, where it is of this folder as it is now.
    fn number_of(&self, uid: &str) -> Option<u32> {
        let (validity, number) = uid.split_once(' ')?;
        (validity.parse() == Ok(self.validity)).then(|| number.parse().ok())?
    }

    pub async fn read(&mut self, number: u32) -> Result<Option<Vec<u8>>, TalkError> {
        let mut mail = None;
        self.ask(&format!("UID FETCH {number} BODY.PEEK[]"), "give a mail", |said| {
            if said.is_fetch() && said.number("UID") == Some(u64::from(number)) {
                mail = said.literals.pop().or(mail.take());
            }
        })
        .await?;
        Ok(mail)
    }

    /// Without UIDPLUS the mail is only marked: whoever expunges the folder next removes it.
    pub async fn remove(&mut self, number: u32) -> Result<(), TalkError> {
        self.ask(&format!("UID STORE {number} +FLAGS.SILENT (\\Deleted)"), "mark a mail", |_| ()).await?;
        if self.has_uidplus {
            self.ask(&format!("UID EXPUNGE {number}"), "remove a mail", |_| ()).await?;
        }
        Ok(())
    }

    pub async fn close(mut self) -> Result<(), TalkError> {
        // Everything is done; whether the good-bye is heard does not matter.
        let _ = self.ask("LOGOUT", "say good-bye", |_| ()).await;
        Ok(())
    }
}

/// What stands before a literal's announcement at the end of a line, `{34}`, and its length.
fn literal(line: &str) -> Option<(&str, u64)> {
    let (before, number) = line.strip_suffix('}')?.rsplit_once('{')?;
    let number = number.strip_suffix('+').unwrap_or(number);
    let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    // A number that does not fit is too long, not none.
    is_number.then(|| (before, number.parse().unwrap_or(u64::MAX)))
}

/// Whether the server takes its leave, whatever it was asked.
fn is_bye(line: &str) -> bool {
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("* BYE"))
}

/// A quoted string (RFC 3501 §4.3).
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_announced_at_the_end_of_a_line() {
        assert_eq!(literal("* 1 FETCH (UID 3 BODY[] {34}"), Some(("* 1 FETCH (UID 3 BODY[] ", 34)));
        assert_eq!(literal("x {99999999999999999999999}"), Some(("x ", u64::MAX)));
        for none in ["", "{}", "a {b}", "{3} ", "3}", "* OK {-3}"] {
            assert_eq!(literal(none), None, "{none}");
        }
    }

    #[test]
    fn numbers_follow_their_words() {
        let of = |line: &str, word| Response { line: line.to_owned(), literals: Vec::new() }.number(word);
        assert_eq!(of("* 1 FETCH (RFC822.SIZE 12 UID 3)", "UID"), Some(3));
        assert_eq!(of("* 1 FETCH (UID 3 rfc822.size 12)", "RFC822.SIZE"), Some(12));
        assert_eq!(of("* OK [UIDVALIDITY 3857529045] UIDs valid", "UIDVALIDITY"), Some(3_857_529_045));
        assert_eq!(of("* 1 FETCH (UIDS 3)", "UID"), None);
        assert_eq!(of("* 1 FETCH (UID x)", "UID"), None);
    }

    #[test]
    fn what_we_say_cannot_break_out_of_its_quotes() {
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
