//! Our own SMTP server: it takes mails and hands each to a [`Receiver`]. It relays nothing and authenticates nobody; it
//! is the built-in mailbox's door, and the door for bounces.
//!
//! LMTP too (RFC 2033), for whoever greets with LHLO. RFC 5321 with PIPELINING, SIZE, 8BITMIME and ENHANCEDSTATUSCODES.
//! Only CRLF.CRLF ends a mail: a dot between bare line ends is content, so nobody smuggles a second mail past us.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memmem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const READ_BYTES: usize = 64 * 1024;
/// Wait after a failed `accept` (no file descriptors left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A mail as it was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The envelope's sender, empty for a bounce.
    pub from: String,
    pub to: Vec<String>,
    /// The mail without dot-stuffing.
    pub content: Vec<u8>,
}

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept: 250.
    Taken,
    /// Not now: 451 with this reason.
    Later(&'static str),
    /// Never: 554 with this reason.
    Refused(&'static str),
}

/// Whoever takes the mails of a listener.
pub trait Receiver: Send + Sync + 'static {
    /// Whether this recipient lives here, asked at RCPT.
    fn knows(&self, _recipient: &str) -> bool {
        true
    }

    /// Takes a mail over. The 250 leaves after this returns [`Verdict::Taken`].
    fn receive(&self, mail: Received) -> impl Future<Output = Verdict> + Send;
}

/// How much one peer, and all peers together, may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub mail_bytes_max: usize,
    pub recipients_max: usize,
    /// Longest command line; RFC 5321 asks for 512, extensions for more.
    pub line_bytes_max: usize,
    pub connections_max: usize,
    /// Nonsense that a connection may utter before it is closed.
    pub errors_max: u32,
    /// Longest silence of a peer.
    pub idle: Duration,
    /// Longest time for the content of one mail.
    pub content: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            mail_bytes_max: 10 * 1024 * 1024,
            recipients_max: 100,
            line_bytes_max: 2048,
            connections_max: 200,
            errors_max: 20,
            idle: Duration::from_secs(300),
            content: Duration::from_secs(600),
        }
    }
}

/// Serves `listener` until `stop`. Then open connections are told 421, mails already handed to the receiver are waited
/// for, and this returns.
pub async fn serve<R: Receiver>(listener: TcpListener, receiver: Arc<R>, limits: Limits, stop: CancellationToken) {
    let sessions = TaskTracker::new();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((mut socket, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            // Best effort: a peer that does not read it finds the connection closed.
            let _ = socket.try_write(b"421 4.3.2 too many connections, try again later\r\n");
            let _ = socket.shutdown().await;
            continue;
        };
        let (receiver, stop) = (Arc::clone(&receiver), stop.clone());
        sessions.spawn(async move {
            let _place = place;
            Session::new(socket, receiver, limits).run(stop).await;
        });
    }
    drop(listener);
    sessions.close();
    sessions.wait().await;
}

/// Why a session ends; the text, if any, is its last word.
struct End(&'static str);

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End("")
    }
}

const TOO_SLOW: End = End("421 4.4.2 too slow, closing\r\n");
const STOPPING: End = End("421 4.3.2 shutting down\r\n");
const TOO_MANY_ERRORS: End = End("421 4.7.0 too many errors, closing\r\n");
const BYE: End = End("221 2.0.0 bye\r\n");

struct Session<R> {
    socket: TcpStream,
    receiver: Arc<R>,
    limits: Limits,
    input: Vec<u8>,
    /// How much of `input` is already used.
    at: usize,
    output: Vec<u8>,
    from: Option<String>,
    to: Vec<String>,
    errors: u32,
    /// Greeted with LHLO.
    is_lmtp: bool,
}

impl<R: Receiver> Session<R> {
    fn new(socket: TcpStream, receiver: Arc<R>, limits: Limits) -> Session<R> {
        Session {
            socket,
            receiver,
            limits,
            input: Vec::with_capacity(READ_BYTES),
            at: 0,
            output: Vec::with_capacity(512),
            from: None,
            to: Vec::new(),
            errors: 0,
            is_lmtp: false,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let _ = self.socket.set_nodelay(true);
        let Err(End(last_word)) = self.converse(&stop).await;
        self.output.extend_from_slice(last_word.as_bytes());
        let goodbye = async {
            self.socket.write_all(&self.output).await?;
            self.socket.shutdown().await
        };
        let _ = tokio::time::timeout(self.limits.idle, goodbye).await;
    }

    async fn converse(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        self.say("220 indicia ESMTP");
        loop {
            match self.line(stop).await? {
                Some(line) => self.obey(&line, stop).await?,
                None => self.complain("500 5.5.2 line too long")?,
            }
        }
    }

    async fn obey(&mut self, line: &str, stop: &CancellationToken) -> Result<(), End> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "LHLO" | "HELO" if rest.trim().is_empty() => self.complain("501 5.5.4 and your name?")?,
            "EHLO" | "LHLO" => {
                self.reset();
                self.is_lmtp = verb.eq_ignore_ascii_case("LHLO");
                self.say("250-indicia\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES");
                self.say(&format!("250 SIZE {}", self.limits.mail_bytes_max));
            }
            "HELO" => {
                self.reset();
                self.say("250 indicia");
            }
            "MAIL" => self.mail(rest)?,
            "RCPT" => self.rcpt(rest)?,
            "DATA" if self.to.is_empty() => self.complain("503 5.5.1 no valid recipients")?,
            "DATA" => self.data(stop).await?,
            "RSET" => {
                self.reset();
                self.say("250 2.0.0 ok");
            }
            "NOOP" => self.say("250 2.0.0 ok"),
            "VRFY" => self.say("252 2.5.0 try it and see"),
            "QUIT" => return Err(BYE),
            _ => self.complain("500 5.5.1 unknown command")?,
        }
        Ok(())
    }

    fn mail(&mut self, rest: &str) -> Result<(), End> {
        if self.from.is_some() {
            return self.complain("503 5.5.1 one mail at a time");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.complain("501 5.1.7 MAIL FROM:<address> is the form");
        };
        let size = parameters.split(' ').find_map(|word| word.to_ascii_uppercase().strip_prefix("SIZE=")?.parse().ok());
        if size.is_some_and(|size: usize| size > self.limits.mail_bytes_max) {
            self.say("552 5.3.4 the mail is too big");
            return Ok(());
        }
        self.from = Some(from.to_owned());
        self.say("250 2.1.0 ok");
        Ok(())
    }

    fn rcpt(&mut self, rest: &str) -> Result<(), End> {
        if self.from.is_none() {
            return self.complain("503 5.5.1 MAIL comes first");
        }
        let Some((to, _)) = path(rest, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return self.complain("501 5.1.3 RCPT TO:<address> is the form");
        };
        if self.to.len() >= self.limits.recipients_max {
            return self.complain("452 4.5.3 too many recipients");
        }
        if !self.receiver.knows(to) {
            return self.complain("550 5.1.1 nobody of that name here");
        }
        self.to.push(to.to_owned());
        self.say("250 2.1.5 ok");
        Ok(())
    }

    async fn data(&mut self, stop: &CancellationToken) -> Result<(), End> {
        self.say("354 end with a dot on a line of its own");
        let wait = self.limits.content;
        let content = tokio::time::timeout(wait, self.content(stop)).await.unwrap_or(Err(TOO_SLOW))?;
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        // LMTP answers for each recipient (RFC 2033 §4.2), SMTP once.
        let answers = if self.is_lmtp { to.len() } else { 1 };
        let answer = match content {
            None => "552 5.3.4 the mail is too big".to_owned(),
            Some(content) => match self.receiver.receive(Received { from, to, content }).await {
                Verdict::Taken => "250 2.0.0 taken".to_owned(),
                Verdict::Later(why) => format!("451 4.3.0 {why}"),
                Verdict::Refused(why) => format!("554 5.7.1 {why}"),
            },
        };
        (0..answers).for_each(|_| self.say(&answer));
        Ok(())
    }

    /// The content up to its dot, without stuffing; `None` if it was too big, in which case it was read and dropped.
    async fn content(&mut self, stop: &CancellationToken) -> Result<Option<Vec<u8>>, End> {
        let mut is_too_big = false;
        let mut is_first = true;
        let mut searched = 0;
        loop {
            let pending = &self.input[self.at..];
            if is_first && pending.starts_with(b".\r\n") {
                self.at += 3;
                return Ok(Some(Vec::new()));
            }
            if let Some(found) = memmem::find(&pending[searched..], b"\r\n.\r\n") {
                let end = searched + found + 2;
                is_too_big |= end > self.limits.mail_bytes_max;
                let content = (!is_too_big).then(|| unstuffed(&pending[..end]));
                self.at += end + 3;
                return Ok(content);
            }
            // The last four bytes may begin the end.
            searched = pending.len().saturating_sub(4);
            if pending.len() > self.limits.mail_bytes_max {
                is_too_big = true;
            }
            if is_too_big {
                (self.at, searched) = (self.at + searched, 0);
            }
            is_first &= pending.len() < 3;
            self.fill(stop).await?;
        }
    }

    /// The next command, or `None` for one that was too long.
    async fn line(&mut self, stop: &CancellationToken) -> Result<Option<String>, End> {
        let mut is_too_long = false;
        loop {
            let pending = &self.input[self.at..];
            if let Some(end) = memchr(b'\n', pending) {
                is_too_long |= end > self.limits.line_bytes_max;
                let line = (!is_too_long).then(|| String::from_utf8_lossy(&pending[..end]).trim_end().to_owned());
                self.at += end + 1;
                return Ok(line);
            }
            if pending.len() > self.limits.line_bytes_max {
                is_too_long = true;
                self.at = self.input.len();
            }
            self.fill(stop).await?;
        }
    }

    /// Sends what is owed, then reads more.
    async fn fill(&mut self, stop: &CancellationToken) -> Result<(), End> {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.reserve(READ_BYTES);
        let exchange = async {
            if !self.output.is_empty() {
                self.socket.write_all(&self.output).await?;
                self.output.clear();
            }
            self.socket.read_buf(&mut self.input).await
        };
        let read = tokio::select! {
            read = tokio::time::timeout(self.limits.idle, exchange) => read,
            () = stop.cancelled() => return Err(STOPPING),
        };
        match read {
            Err(_) => Err(TOO_SLOW),
            Ok(Ok(0)) => Err(End("")),
            Ok(read) => Ok(read.map(|_| ())?),
        }
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn complain(&mut self, line: &str) -> Result<(), End> {
        self.say(line);
        self.errors += 1;
        if self.errors > self.limits.errors_max { Err(TOO_MANY_ERRORS) } else { Ok(()) }
    }

    fn reset(&mut self) {
        (self.from, self.to) = (None, Vec::new());
    }
}

/// The address of `FROM:<address> parameters`, and the parameters. A source route is dropped (RFC 5321 §4.1.1.3).
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let rest = rest.trim_start();
    let (start, rest) = rest.split_at_checked(keyword.len())?;
    if !start.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let inside = rest.trim_start().strip_prefix('<')?;
    let (path, parameters) = inside.split_once('>')?;
    let path = if path.starts_with('@') { path.split_once(':')?.1 } else { path };
    let fit = path.len() <= 320 && !path.chars().any(|c| c.is_control() || c == '<' || c == ' ');
    fit.then_some((path, parameters.trim()))
}

fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut from = usize::from(content.starts_with(b"."));
    for found in memmem::find_iter(content, b"\r\n.") {
        out.extend_from_slice(&content[from..found + 2]);
        from = found + 3;
    }
    out.extend_from_slice(&content[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_parameters_come_apart() {
        assert_eq!(path("FROM:<a@b.example> SIZE=5", "FROM:"), Some(("a@b.example", "SIZE=5")));
        assert_eq!(path("from: <>", "FROM:"), Some(("", "")));
        assert_eq!(path("TO:<@relay.example:a@b.example>", "TO:"), Some(("a@b.example", "")));
        for bad in ["FROM:a@b.example", "FROM:<a@b.example", "FROM:<a b@c>", "é", "FROM", ""] {
            assert_eq!(path(bad, "FROM:"), None, "{bad:?}");
        }
    }

    #[test]
    fn one_dot_is_taken_from_each_line_that_starts_with_one() {
        assert_eq!(unstuffed(b"..a\r\n...\r\n.\r\nb.\r\n"), b".a\r\n..\r\n\r\nb.\r\n");
        assert_eq!(unstuffed(b"\r\n..\r\n..\r\n"), b"\r\n.\r\n.\r\n");
        assert_eq!(unstuffed(b"a\n.b\r\n"), b"a\n.b\r\n");
    }
}
