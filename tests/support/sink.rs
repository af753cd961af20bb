//! A scripted SMTP server that keeps count: the truth against which every account of ours is compared.
//!
//! It misbehaves by script ([`Sink::script`]) or by the recipient's local part: `anna+dot-550@x.example` is refused
//! after the dot. The words are `rcpt-`, `data-`, `body-` or `dot-`, then a code, `close`, `hang`, `grey` (451 the
//! first time), and after `dot-` also `takeclose` and `takehang` (accepted, and the reply never comes).

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use data_encoding::BASE64;
use memchr::{memchr, memmem};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::traffic::Traffic;

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Banner,
    Hello,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The first bytes of content have come, the dot has not.
    Body,
    /// The dot has come.
    Dot,
    Rset,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Answers this line; a 421 also closes.
    Say(String),
    /// Closes without a word; at the dot the mail is not taken.
    Close,
    Hang,
    /// At the dot: takes the mail and closes without the 250.
    TakeAndClose,
    /// At the dot: takes the mail and never answers.
    TakeAndHang,
    /// Goes on as if nothing were, only later.
    Wait(Duration),
}

/// One rule of misbehaviour.
#[derive(Debug, Clone)]
pub struct Fault {
    at: At,
    act: Act,
    to: Option<String>,
    after: u64,
    times: u64,
    once_per_recipient: bool,
}

impl Fault {
    /// Always, for everyone.
    pub fn new(at: At, act: Act) -> Fault {
        Fault { at, act, to: None, after: 0, times: u64::MAX, once_per_recipient: false }
    }

    pub fn say(at: At, line: &str) -> Fault {
        Fault::new(at, Act::Say(line.to_owned()))
    }

    /// Only for recipients that hold this text; at RCPT and later.
    pub fn to(self, part: &str) -> Fault {
        Fault { to: Some(part.to_owned()), ..self }
    }

    /// Only after so many passed unharmed.
    pub fn after(self, count: u64) -> Fault {
        Fault { after: count, ..self }
    }

    pub fn times(self, count: u64) -> Fault {
        Fault { times: count, ..self }
    }

    /// Only the first time for each recipient: greylisting.
    pub fn once_per_recipient(self) -> Fault {
        Fault { once_per_recipient: true, ..self }
    }
}

/// How a sink is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkTls {
    None,
    StartTls,
    Implicit,
}

/// What a sink offers and keeps.
#[derive(Debug, Clone)]
pub struct Setup {
    pub pipelining: bool,
    /// Knows EHLO; else only HELO.
    pub esmtp: bool,
    pub tls: SinkTls,
    /// User name, password, and the mechanisms offered (`"PLAIN LOGIN"`).
    pub auth: Option<(&'static str, &'static str, &'static str)>,
    /// Answers 354 to DATA even when no recipient was accepted.
    pub lax_data: bool,
    /// 421 at MAIL after so many mails on one connection.
    pub mails_per_connection: u64,
    /// Keeps whole mails, not only their heads.
    pub keep_bodies: bool,
    /// Keeps every command line.
    pub keep_commands: bool,
    /// Wait before every reply.
    pub delay: Duration,
    /// Mails per second that are taken for a domain, with half a second's worth at once; more are told to slow down at
    /// RCPT, and the connection is closed.
    pub limits: &'static [(&'static str, f64)],
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            pipelining: true,
            esmtp: true,
            tls: SinkTls::None,
            auth: None,
            lax_data: false,
            mails_per_connection: u64::MAX,
            keep_bodies: false,
            keep_commands: false,
            delay: Duration::ZERO,
            limits: &[],
        }
    }
}

/// A mail that the sink took.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub from: String,
    pub to: Vec<String>,
    pub message_id: String,
    /// The header block, without its empty line.
    pub head: String,
    /// The whole mail without dot-stuffing, where bodies are kept.
    pub mail: Option<Vec<u8>>,
    /// Whether the 250 was handed to the socket; false for a mail taken whose reply was withheld.
    pub replied: bool,
    /// When, since the sink began.
    pub at: Duration,
}

#[derive(Default)]
struct Ledger {
    accepted: Vec<Accepted>,
    commands: Vec<String>,
    connections: u64,
    /// Commands that came before the reply to the last was sent, although PIPELINING was not offered.
    impatient: u64,
    faults: Vec<(Fault, u64)>,
    struck: HashSet<(At2, String)>,
    traffic: HashMap<String, Traffic>,
}

type At2 = &'static str;

struct Shared {
    setup: Setup,
    acceptor: Option<TlsAcceptor>,
    certificate: Option<CertificateDer<'static>>,
    ledger: Mutex<Ledger>,
    count: watch::Sender<usize>,
    began: Instant,
}

/// A running sink; its connections die with it.
pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(task) = self.listening.lock().expect("no panic holds it").take() {
            task.abort();
        }
    }
}

impl Sink {
    /// A well-behaved sink that pipelines.
    pub async fn start() -> Sink {
        Sink::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Sink {
        let (acceptor, certificate) = match setup.tls {
            SinkTls::None => (None, None),
            SinkTls::StartTls | SinkTls::Implicit => {
                let (acceptor, certificate) = self_made_tls(&["localhost"]);
                (Some(acceptor), Some(certificate))
            }
        };
        let ledger = Mutex::new(Ledger::default());
        let (count, began) = (watch::Sender::new(0), Instant::now());
        let shared = Arc::new(Shared { setup, acceptor, certificate, ledger, count, began });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Sink { address, shared, listening: Mutex::new(Some(task)) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate to trust; it bears the name `localhost` alone.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.shared.certificate.clone().expect("a sink with TLS")
    }

    /// Adds a fault. The first that fits strikes.
    pub fn script(&self, fault: Fault) {
        self.ledger().faults.push((fault, 0));
    }

    /// Ends all faults.
    pub fn behave(&self) {
        self.ledger().faults.clear();
    }

    /// Stops listening (connections are refused) and cuts every open connection.
    pub async fn away(&self) {
        let task = self.listening.lock().expect("no panic holds it").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Listens again, on the same port.
    pub async fn back(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is still free");
        let task = tokio::spawn(listen(listener, Arc::clone(&self.shared)));
        *self.listening.lock().expect("no panic holds it") = Some(task);
    }

    /// Every mail taken so far, whether or not its reply was sent.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.ledger().accepted.clone()
    }

    pub fn count(&self) -> usize {
        self.ledger().accepted.len()
    }

    /// How often each recipient was sent to.
    pub fn by_recipient(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for to in self.ledger().accepted.iter().flat_map(|mail| &mail.to) {
            *counts.entry(to.clone()).or_default() += 1;
        }
        counts
    }

    /// How often each Message-ID was taken.
    pub fn by_message_id(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for mail in &self.ledger().accepted {
            *counts.entry(mail.message_id.clone()).or_default() += 1;
        }
        counts
    }

    pub fn connections(&self) -> u64 {
        self.ledger().connections
    }

    pub fn impatient(&self) -> u64 {
        self.ledger().impatient
    }

    /// How the mail of a domain came.
    pub fn traffic(&self, domain: &str) -> Traffic {
        self.ledger().traffic.get(domain).copied().unwrap_or_default()
    }

    /// When each mail of a domain was taken, seconds since the sink began.
    pub fn taken_at(&self, domain: &str) -> Vec<f64> {
        let of_domain = |mail: &&Accepted| mail.to.iter().any(|to| to.ends_with(domain));
        self.ledger().accepted.iter().filter(of_domain).map(|mail| mail.at.as_secs_f64()).collect()
    }

    /// Every command so far, where they are kept.
    pub fn commands(&self) -> Vec<String> {
        self.ledger().commands.clone()
    }

    /// Waits until `count` mails were taken.
    pub async fn wait_for(&self, count: usize) {
        let mut seen = self.shared.count.subscribe();
        seen.wait_for(|taken| *taken >= count).await.expect("the sink holds the sender");
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic holds the ledger")
    }

    /// What strikes at `at`, for the recipient `to` where one is known.
    fn strike(&self, at: At, to: &str) -> Option<Act> {
        let mut ledger = self.ledger();
        let Ledger { faults, struck, .. } = &mut *ledger;
        for (fault, hits) in faults {
            if fault.at != at || !fault.to.as_deref().is_none_or(|part| to.contains(part)) {
                continue;
            }
            if fault.once_per_recipient && !struck.insert((name(at), to.to_owned())) {
                continue;
            }
            *hits += 1;
            if *hits > fault.after && *hits - fault.after <= fault.times {
                return Some(fault.act.clone());
            }
        }
        let word = format!("{}-", name(at));
        let rest = &to[to.find(&word)? + word.len()..];
        let act = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
        match act {
            "close" => Some(Act::Close),
            "hang" => Some(Act::Hang),
            "takeclose" => Some(Act::TakeAndClose),
            "takehang" => Some(Act::TakeAndHang),
            "grey" => struck
                .insert((name(at), to.to_owned()))
                .then(|| Act::Say("451 4.7.1 greylisted, come back later".to_owned())),
            "421" => Some(Act::Say("421 4.3.2 closing".to_owned())),
            code if code.len() == 3 && code.starts_with(['4', '5']) => {
                Some(Act::Say(format!("{code} {}.0.0 as scripted", &code[..1])))
            }
            _ => None,
        }
    }
}

fn name(at: At) -> At2 {
    match at {
        At::Banner => "banner",
        At::Hello => "hello",
        At::Auth => "auth",
        At::Mail => "mail",
        At::Rcpt => "rcpt",
        At::Data => "data",
        At::Body => "body",
        At::Dot => "dot",
        At::Rset => "rset",
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        while sessions.try_join_next().is_some() {}
        shared.ledger().connections += 1;
        sessions.spawn(serve(socket, Arc::clone(&shared)));
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    let stream: Box<dyn Duplex> = match (&shared.setup.tls, &shared.acceptor) {
        (SinkTls::Implicit, Some(acceptor)) => match acceptor.accept(socket).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
        _ => Box::new(socket),
    };
    let encrypted = shared.setup.tls == SinkTls::Implicit;
    let mut session = Session {
        stream,
        input: Vec::new(),
        output: Vec::new(),
        shared,
        encrypted,
        known: false,
        from: None,
        to: Vec::new(),
        asked: String::new(),
        mails: 0,
        inside: None,
        mails_of: HashMap::new(),
    };
    let _ = session.run().await;
    session.leave(false);
    let _ = session.flush().await;
    let _ = session.stream.shutdown().await;
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

struct Session {
    stream: Box<dyn Duplex>,
    input: Vec<u8>,
    output: Vec<u8>,
    shared: Arc<Shared>,
    encrypted: bool,
    known: bool,
    from: Option<String>,
    to: Vec<String>,
    /// The recipient last asked for, accepted or not: whom faults go by.
    asked: String,
    mails: u64,
    /// The domain of the mail under way, and mails taken so far by domain.
    inside: Option<String>,
    mails_of: HashMap<String, u64>,
}

/// Why a session ends.
struct End;

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End
    }
}

impl Session {
    async fn run(&mut self) -> Result<(), End> {
        if !self.strikes(At::Banner).await? {
            self.say("220 sink.example ESMTP").await?;
        }
        loop {
            let line = self.line().await?;
            if self.shared.setup.keep_commands {
                self.shared.ledger().commands.push(line.clone());
            }
            if !self.shared.setup.pipelining && !self.input.is_empty() {
                self.shared.ledger().impatient += 1;
            }
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            self.obey(&verb, &line).await?;
        }
    }

    async fn obey(&mut self, verb: &str, line: &str) -> Result<(), End> {
        match verb {
            "EHLO" if self.shared.setup.esmtp => self.hello().await,
            "HELO" if !self.strikes(At::Hello).await? => self.say("250 sink.example").await,
            "STARTTLS" if self.shared.setup.tls == SinkTls::StartTls && !self.encrypted => self.start_tls().await,
            "AUTH" => self.auth(line).await,
            "MAIL" => self.mail(line).await,
            "RCPT" => self.rcpt(line).await,
            "DATA" => self.data().await,
            "RSET" => {
                (self.from, self.to) = (None, Vec::new());
                if self.strikes(At::Rset).await? { Ok(()) } else { self.say("250 2.0.0 Ok").await }
            }
            "NOOP" => self.say("250 2.0.0 Ok").await,
            "HELO" => Ok(()),
            "QUIT" => {
                self.say("221 2.0.0 Bye").await?;
                Err(End)
            }
            _ => self.say("500 5.5.2 what?").await,
        }
    }

    async fn hello(&mut self) -> Result<(), End> {
        if self.strikes(At::Hello).await? {
            return Ok(());
        }
        let setup = &self.shared.setup;
        let mut lines = vec!["sink.example greets you".to_owned(), "SIZE 10485760".to_owned()];
        if setup.pipelining {
            lines.push("PIPELINING".to_owned());
        }
        if setup.tls == SinkTls::StartTls && !self.encrypted {
            lines.push("STARTTLS".to_owned());
        } else if let Some((_, _, mechanisms)) = setup.auth {
            lines.push(format!("AUTH {mechanisms}"));
        }
        lines.push("ENHANCEDSTATUSCODES".to_owned());
        let last = lines.pop().expect("one at least");
        let text: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        self.say(&format!("{text}250 {last}")).await
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        self.say("220 2.0.0 go").await?;
        self.flush().await?;
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let acceptor = self.shared.acceptor.clone().expect("a sink with TLS");
        self.stream = Box::new(acceptor.accept(plain).await?);
        self.encrypted = true;
        self.input.clear();
        Ok(())
    }

    async fn auth(&mut self, line: &str) -> Result<(), End> {
        if self.strikes(At::Auth).await? {
            return Ok(());
        }
        let Some((user, password, _)) = self.shared.setup.auth else {
            return self.say("502 5.5.1 no AUTH here").await;
        };
        let words: Vec<&str> = line.split(' ').collect();
        let given = match words[..] {
            [_, "PLAIN", response] => decode(response),
            [_, "LOGIN"] => {
                self.say("334 VXNlcm5hbWU6").await?;
                let name = decode(&self.line().await?);
                self.say("334 UGFzc3dvcmQ6").await?;
                format!("\0{name}\0{}", decode(&self.line().await?))
            }
            _ => String::new(),
        };
        self.known = given == format!("\0{user}\0{password}");
        self.say(if self.known { "235 2.7.0 welcome" } else { "535 5.7.8 who are you?" }).await
    }

    async fn mail(&mut self, line: &str) -> Result<(), End> {
        if self.mails >= self.shared.setup.mails_per_connection {
            self.say("421 4.7.0 enough for one connection").await?;
            return Err(End);
        }
        if self.shared.setup.auth.is_some() && !self.known {
            return self.say("530 5.7.0 authenticate first").await;
        }
        self.to.clear();
        self.from = None;
        self.leave(false);
        if self.strikes(At::Mail).await? {
            return Ok(());
        }
        self.from = Some(path(line));
        self.say("250 2.1.0 Ok").await
    }

    async fn rcpt(&mut self, line: &str) -> Result<(), End> {
        if self.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        self.asked = path(line);
        if self.strikes(At::Rcpt).await? {
            return Ok(());
        }
        let domain = self.asked.rsplit('@').next().unwrap_or_default().to_owned();
        let limit = self.shared.setup.limits.iter().find(|(limited, _)| *limited == domain).map(|(_, rate)| *rate);
        let now = self.shared.began.elapsed();
        if !self.shared.ledger().traffic.entry(domain.clone()).or_default().enters(limit, now) {
            self.say("421 4.7.28 too many mails too fast, slow down").await?;
            return Err(End);
        }
        self.inside = Some(domain);
        self.to.push(self.asked.clone());
        self.say("250 2.1.5 Ok").await
    }

    /// The mail under way is over.
    fn leave(&mut self, is_taken: bool) {
        let Some(domain) = self.inside.take() else { return };
        let mails = self.mails_of.entry(domain.clone()).or_default();
        *mails += u64::from(is_taken);
        if let Some(traffic) = self.shared.ledger().traffic.get_mut(&domain) {
            traffic.leaves(*mails);
        }
    }

    async fn data(&mut self) -> Result<(), End> {
        if self.to.is_empty() && !self.shared.setup.lax_data {
            return self.say("503 5.5.1 no valid recipients").await;
        }
        if self.strikes(At::Data).await? {
            return Ok(());
        }
        self.say("354 go on").await?;
        self.flush().await?;
        let content = self.content().await?;
        if self.to.is_empty() {
            return self.say("554 5.5.1 no valid recipients").await;
        }
        match self.shared.strike(At::Dot, &self.asked) {
            Some(Act::TakeAndClose) => {
                self.take(content, false);
                Err(End)
            }
            Some(Act::TakeAndHang) => {
                self.take(content, false);
                std::future::pending().await
            }
            Some(Act::Wait(wait)) => {
                tokio::time::sleep(wait).await;
                self.take_and_say(content).await
            }
            Some(act) => self.act(act).await.map(|_| ()),
            None => self.take_and_say(content).await,
        }
    }

    /// Reads to the dot; the content keeps its stuffing.
    async fn content(&mut self) -> Result<Vec<u8>, End> {
        let mut searched = 0;
        let mut is_new = true;
        loop {
            if !self.input.is_empty() && std::mem::take(&mut is_new) {
                self.strikes(At::Body).await?;
            }
            if self.input.starts_with(b".\r\n") {
                self.input.drain(..3);
                return Ok(Vec::new());
            }
            if let Some(found) = memmem::find(&self.input[searched..], b"\r\n.\r\n") {
                let end = searched + found;
                let content = self.input[..end + 2].to_vec();
                self.input.drain(..end + 5);
                return Ok(content);
            }
            searched = self.input.len().saturating_sub(4);
            self.fill().await?;
        }
    }

    async fn take_and_say(&mut self, content: Vec<u8>) -> Result<(), End> {
        let number = self.take(content, true);
        self.say(&format!("250 2.0.0 Ok: queued as {number:X}")).await
    }

    /// Enters a mail into the ledger before its reply leaves, so that a client that saw the 250 finds it there.
    fn take(&mut self, content: Vec<u8>, replied: bool) -> usize {
        self.mails += 1;
        self.leave(true);
        let head_end = memmem::find(&content, b"\r\n\r\n").unwrap_or(content.len());
        let head = String::from_utf8_lossy(&content[..head_end]).into_owned();
        let message_id = header(&head, "Message-ID").unwrap_or_default();
        let mail = self.shared.setup.keep_bodies.then(|| unstuffed(&content));
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        let mut ledger = self.shared.ledger();
        let at = self.shared.began.elapsed();
        ledger.accepted.push(Accepted { from, to, message_id, head, mail, replied, at });
        let count = ledger.accepted.len();
        drop(ledger);
        self.shared.count.send_replace(count);
        count
    }

    /// Whether a fault answered in our stead.
    async fn strikes(&mut self, at: At) -> Result<bool, End> {
        let to = if matches!(at, At::Rcpt | At::Data | At::Body) { self.asked.as_str() } else { "" };
        match self.shared.strike(at, to) {
            Some(act) => self.act(act).await,
            None => Ok(false),
        }
    }

    async fn act(&mut self, act: Act) -> Result<bool, End> {
        match act {
            Act::Say(line) => {
                self.say(&line).await?;
                if line.starts_with("421") { Err(End) } else { Ok(true) }
            }
            Act::Close | Act::TakeAndClose => Err(End),
            Act::Hang | Act::TakeAndHang => {
                self.flush().await?;
                std::future::pending().await
            }
            Act::Wait(wait) => {
                tokio::time::sleep(wait).await;
                Ok(false)
            }
        }
    }

    async fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = memchr(b'\n', &self.input) {
                let line = String::from_utf8_lossy(&self.input[..end]).trim_end().to_owned();
                self.input.drain(..=end);
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        self.flush().await?;
        self.input.reserve(64 * 1024);
        if self.stream.read_buf(&mut self.input).await? == 0 { Err(End) } else { Ok(()) }
    }

    async fn say(&mut self, line: &str) -> Result<(), End> {
        if !self.shared.setup.delay.is_zero() {
            tokio::time::sleep(self.shared.setup.delay).await;
        }
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }
}

/// The value of a header, unfolded.
pub fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.split("\r\n").skip_while(|line| {
        !line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            || line.as_bytes().get(name.len()) != Some(&b':')
    });
    let mut value = lines.next()?[name.len() + 1..].trim().to_owned();
    for more in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push_str(more);
    }
    Some(value)
}

fn path(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(path, _)| path.to_owned())
}

fn decode(text: &str) -> String {
    BASE64.decode(text.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|c| *c == b'\n') {
        out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    out
}

pub fn self_made_tls(names: &[&str]) -> (TlsAcceptor, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate of its key");
    (TlsAcceptor::from(Arc::new(config)), certificate)
}
