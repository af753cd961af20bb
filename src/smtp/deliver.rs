//! Delivering: MAIL, RCPT, DATA, the content and its final dot.
//!
//! Where the server offers PIPELINING, an envelope is one write, and the end of one mail travels with the envelope of
//! the next (RFC 2920 §3.1). The reply to a dot is read before anything that follows it.

use std::io::{self, IoSlice};

use memchr::memmem;

use super::connection::{Connection, State};
use super::failure::{Failure, Kind, Stage};
use super::reply::Reply;

/// Longest address in an envelope, octets (RFC 5321 §4.5.3.1.3).
const PATH_BYTES_MAX: usize = 254;

/// From whom, to whom: one recipient, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    from: &'a str,
    to: &'a str,
}

impl<'a> Envelope<'a> {
    /// An envelope of two ASCII addresses; `from` may be empty, for mail that must not bounce.
    ///
    /// # Errors
    /// [`Kind::Unfit`] for an address that could end its command early or that no server takes.
    pub fn new(from: &'a str, to: &'a str) -> Result<Envelope<'a>, Failure> {
        let unfit = |stage| Failure::new(stage, Kind::Unfit("the envelope's address is not one".to_owned()));
        let fit = |path: &str| path.len() <= PATH_BYTES_MAX && path.bytes().all(is_path_byte);
        match (fit(from), fit(to) && !to.is_empty()) {
            (false, _) => Err(unfit(Stage::Mail)),
            (_, false) => Err(unfit(Stage::Rcpt)),
            _ => Ok(Envelope { from, to }),
        }
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        for part in ["MAIL FROM:<", self.from, ">\r\nRCPT TO:<", self.to, ">\r\nDATA\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

fn is_path_byte(c: u8) -> bool {
    c.is_ascii_graphic() && c != b'<' && c != b'>'
}

/// What became of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The 354 was read: [`Connection::finish`] may follow, or [`Connection::abandon`].
    Ready,
    /// MAIL, RCPT or DATA was refused. The transaction is closed again; [`Connection::is_clean`] tells whether that
    /// worked. The refusal holds either way.
    Refused { stage: Stage, reply: Reply },
}

/// What became of a mail, and of the envelope sent behind it.
#[derive(Debug)]
pub struct Finished {
    /// `Ok` is the server's 2xx: it has the mail. `Err` with [`Kind::Refused`] is its definite no.
    pub reply: Result<Reply, Failure>,
    /// The next envelope, if one was given and the server was still there to take it.
    pub next: Option<Result<Opened, Failure>>,
}

impl Connection {
    /// Opens a mail transaction up to its 354.
    ///
    /// # Errors
    /// The connection was lost, timed out, or the server closes it (421): it is of no more use.
    pub async fn open_envelope(&mut self, envelope: &Envelope<'_>) -> Result<Opened, Failure> {
        if self.state != State::Clean {
            return Err(Failure::new(Stage::Mail, Kind::Unfit("the connection is not idle".to_owned())));
        }
        self.state = State::Broken;
        if !self.capabilities.pipelining {
            return self.open_in_lockstep(envelope).await;
        }
        self.line.clear();
        envelope.write_to(&mut self.line);
        let wait = self.wait(Stage::Mail);
        self.wire.write(&self.line, wait).await.map_err(|kind| Failure::new(Stage::Mail, kind))?;
        self.read_opened().await
    }

    async fn open_in_lockstep(&mut self, envelope: &Envelope<'_>) -> Result<Opened, Failure> {
        self.state = State::Broken;
        let mail = format!("MAIL FROM:<{}>\r\n", envelope.from);
        let rcpt = format!("RCPT TO:<{}>\r\n", envelope.to);
        for (stage, line) in [(Stage::Mail, mail.as_str()), (Stage::Rcpt, &rcpt), (Stage::Data, "DATA\r\n")] {
            let reply = self.command(stage, line.as_bytes()).await?;
            match judge(stage, reply)? {
                Judged::Accepted => {}
                Judged::Refused(reply) => return Ok(self.close_refused(stage, reply, stage != Stage::Mail).await),
            }
        }
        self.state = State::Ready;
        Ok(Opened::Ready)
    }

    /// Reads the three replies to a pipelined envelope.
    async fn read_opened(&mut self) -> Result<Opened, Failure> {
        self.state = State::Broken;
        let mut refused = None;
        let mut accepted = [false; 3];
        for (n, stage) in [Stage::Mail, Stage::Rcpt, Stage::Data].into_iter().enumerate() {
            match self.read(stage).await.and_then(|reply| judge(stage, reply)) {
                Ok(Judged::Accepted) => accepted[n] = true,
                Ok(Judged::Refused(reply)) => refused = refused.or(Some((stage, reply))),
                // What was refused stays refused, whatever the connection does then.
                Err(failure) => {
                    return refused.map(|(stage, reply)| Opened::Refused { stage, reply }).ok_or(failure);
                }
            }
        }
        let [mail, rcpt, data] = accepted;
        let Some((stage, reply)) = refused else {
            self.state = State::Ready;
            return Ok(Opened::Ready);
        };
        match (rcpt, data) {
            // No recipient, yet the server waits for content: a lone dot ends it, and there is nobody to deliver to.
            (false, true) => Ok(self.close_with_dot(stage, reply).await),
            // A recipient without a sender: not a server to send a dot to. Left broken, to be closed.
            (true, true) => Ok(Opened::Refused { stage, reply }),
            (_, false) => Ok(self.close_refused(stage, reply, mail || rcpt).await),
        }
    }

    /// Resets a transaction of which a part was accepted. Whatever becomes of that, the refusal stands.
    async fn close_refused(&mut self, stage: Stage, reply: Reply, is_open: bool) -> Opened {
        self.state = State::Clean;
        if is_open {
            let _ = self.rset().await;
        }
        Opened::Refused { stage, reply }
    }

    async fn close_with_dot(&mut self, stage: Stage, reply: Reply) -> Opened {
        if self.command(Stage::Rset, b".\r\n").await.is_ok_and(|reply| !reply.is_421()) {
            self.state = State::Clean;
        }
        Opened::Refused { stage, reply }
    }

    /// Sends the content after a 354, all but the CRLF.CRLF that ends it: so far nothing is delivered, and closing the
    /// connection takes it back. [`Connection::finish`] may follow.
    ///
    /// `body` is a mail with CRLF line ends, not dot-stuffed. A bare CR or LF in it is refused before a byte leaves:
    /// with an envelope behind it, text that ends the mail early would be obeyed as commands.
    ///
    /// # Errors
    /// [`Stage::Body`], never in doubt. The connection is only fit to be closed.
    pub async fn send_content(&mut self, body: &[u8]) -> Result<(), Failure> {
        let failed = |kind| Failure::new(Stage::Body, kind);
        let unfit = |why: &str| failed(Kind::Unfit(why.to_owned()));
        if self.state != State::Ready {
            return Err(unfit("no 354 was read"));
        }
        self.state = State::Broken;
        let is_stuffed = stuff(body, &mut self.stuffed).map_err(unfit)?;
        let body = if is_stuffed { &self.stuffed } else { body };
        // The CRLF that ends the last line is the first half of CRLF.CRLF.
        let body = body.strip_suffix(b"\r\n").unwrap_or(body);
        self.wire.write(body, self.timeouts.block).await.map_err(failed)?;
        self.state = State::Told;
        Ok(())
    }

    /// Ends the content that was sent, and with its dot sends the `next` envelope where the server pipelines.
    ///
    /// # Crash
    /// Once the dot left, the mail may be delivered whatever happens here: it must be armed before. Dropping this
    /// future is such a crash: nobody learns whether the dot left, so the mail is in doubt, and the connection is only
    /// fit to be closed.
    pub async fn finish(&mut self, next: Option<&Envelope<'_>>) -> Finished {
        let failed = |failure: Failure, next: Option<&Envelope<'_>>| Finished {
            next: next.map(|_| Err(Failure::new(Stage::Mail, not_reached(&failure)))),
            reply: Err(failure),
        };
        if let Err(failure) = self.write_dot(next).await {
            return failed(failure, next);
        }
        let reply = match self.read(Stage::Dot).await.and_then(judge_dot) {
            Ok(reply) => Ok(reply),
            Err(failure) if failure.reply().is_some_and(|reply| !reply.is_421()) => Err(failure),
            Err(failure) => return failed(Failure { dot_written: true, ..failure }, next),
        };
        let reply = reply.map_err(|failure| Failure { dot_written: true, ..failure });
        self.state = State::Clean;
        let next = match next {
            None => None,
            Some(_) if self.capabilities.pipelining => Some(self.read_opened().await),
            Some(envelope) => Some(self.open_in_lockstep(envelope).await),
        };
        Finished { reply, next }
    }

    async fn write_dot(&mut self, next: Option<&Envelope<'_>>) -> Result<(), Failure> {
        if self.state != State::Told {
            let why = "its content was not sent".to_owned();
            return Err(Failure::new(Stage::Body, Kind::Unfit(why)));
        }
        self.state = State::Broken;
        self.line.clear();
        self.line.extend_from_slice(b"\r\n.\r\n");
        if let Some(next) = next.filter(|_| self.capabilities.pipelining) {
            next.write_to(&mut self.line);
        }
        let mut taken = 0;
        let wrote = self.wire.write_all(&mut [IoSlice::new(&self.line)], self.timeouts.block, &mut taken).await;
        wrote.map_err(|kind| {
            let dot_written = taken > 0;
            Failure { stage: if dot_written { Stage::Dot } else { Stage::Body }, kind, dot_written }
        })
    }
}

enum Judged {
    Accepted,
    Refused(Reply),
}

/// What a reply to MAIL, RCPT or DATA means. A 421 and what belongs nowhere end the connection.
fn judge(stage: Stage, reply: Reply) -> Result<Judged, Failure> {
    let is_due = if stage == Stage::Data { reply.code == 354 } else { reply.positive() };
    if is_due {
        Ok(Judged::Accepted)
    } else if reply.is_421() {
        Err(Failure::new(stage, Kind::Refused(reply)))
    } else if reply.transient() || reply.permanent() {
        Ok(Judged::Refused(reply))
    } else {
        Err(Failure::new(stage, Kind::Protocol(format!("{} came in answer to {stage}", reply.code))))
    }
}

fn judge_dot(reply: Reply) -> Result<Reply, Failure> {
    if reply.positive() {
        Ok(reply)
    } else if reply.transient() || reply.permanent() {
        Err(Failure::new(Stage::Dot, Kind::Refused(reply)))
    } else {
        Err(Failure::new(Stage::Dot, Kind::Protocol(format!("{} came in answer to the dot", reply.code))))
    }
}

/// Why the envelope behind a failed mail was not opened.
fn not_reached(failure: &Failure) -> Kind {
    match &failure.kind {
        Kind::Refused(reply) => Kind::Refused(reply.clone()),
        Kind::Lost(error) => Kind::Lost(error.kind().into()),
        Kind::TimedOut => Kind::TimedOut,
        Kind::Protocol(_) | Kind::Unfit(_) => Kind::Lost(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// Checks that every line of `body` ends with CRLF and copies it into `out` with a dot before each line that starts
/// with one (RFC 5321 §4.5.2); says false, and copies nothing, when no line does.
fn stuff(body: &[u8], out: &mut Vec<u8>) -> Result<bool, &'static str> {
    if body.is_empty() {
        return Err("the mail is empty");
    }
    if !has_whole_line_ends(body) {
        return Err("the mail holds a CR or LF that is not part of a CRLF");
    }
    out.clear();
    let starts = memmem::find_iter(body, b"\r\n.").map(|at| at + 2);
    let mut copied = 0;
    for at in body.starts_with(b".").then_some(0).into_iter().chain(starts) {
        out.extend_from_slice(&body[copied..at]);
        out.push(b'.');
        copied = at;
    }
    if out.is_empty() {
        return Ok(false);
    }
    out.extend_from_slice(&body[copied..]);
    Ok(true)
}

/// Whether there are as many CRs and as many LFs as CRLFs. Counted by pieces without a branch, many bytes at once.
fn has_whole_line_ends(body: &[u8]) -> bool {
    const PIECE: usize = 128;
    let (mut crs, mut lfs, mut both) = (0_usize, 0_usize, 0_usize);
    for (piece, next) in body.chunks(PIECE).zip(body[1..].chunks(PIECE).chain([&[][..]])) {
        let count = |byte: u8| usize::from(piece.iter().map(|c| u8::from(*c == byte)).sum::<u8>());
        crs += count(b'\r');
        lfs += count(b'\n');
        let pairs = piece.iter().zip(next).map(|(c, n)| u8::from((*c == b'\r') & (*n == b'\n')));
        both += usize::from(pairs.sum::<u8>());
    }
    crs == both && lfs == both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_at_the_head_of_lines_only() {
        let mut out = Vec::new();
        assert_eq!(stuff(b"a.b\r\nc.\r\n", &mut out), Ok(false));
        assert_eq!(stuff(b".a\r\n\r\n.\r\nb\r\n..", &mut out), Ok(true));
        assert_eq!(out, b"..a\r\n\r\n..\r\nb\r\n...");
    }

    #[test]
    fn bare_line_ends_are_refused() {
        for bare in ["a\nb", "a\rb", "a\r\n\r", "\n.\n", "a\n\r\nb", ""] {
            assert!(stuff(bare.as_bytes(), &mut Vec::new()).is_err(), "{bare:?}");
        }
    }

    #[test]
    fn an_envelope_cannot_carry_a_second_command() {
        assert!(Envelope::new("", "a@b.example").is_ok());
        for bad in ["a@b.example>\r\nDATA", "a b@c.example", "<a@b.example>", "ж@b.example", "a\0@b.example", ""] {
            assert!(Envelope::new("x@y.example", bad).is_err(), "{bad:?}");
        }
    }
}
