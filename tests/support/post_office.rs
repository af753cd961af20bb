//! A mail system of a test's own: one mailbox, spoken to over IMAP or POP3 as real servers speak, and badly when told
//! to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::sink::self_made_tls;

pub const USER: &str = "bounces@shop.example";
/// With what a quoted string must escape.
pub const PASSWORD: &str = "pass \"word\" \\ 1";

/// What the server does to a session, once for each that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Answers in no language.
    Garbage,
    /// Announces a literal, or sends a line, without an end.
    Endless,
    /// Hangs up in the midst of a mail.
    HangsUp,
    /// Refuses the password, and repeats it.
    Refuses,
    /// Refuses to give any mail but the last.
    Withholds,
    /// Has no STARTTLS or STLS.
    Plain,
    /// Says more than the reply to STARTTLS or STLS before the handshake, as somebody on the way would.
    Injects,
}

/// Why a conversation came to its end.
enum End {
    Over,
    /// What follows is TLS.
    Upgrade,
}

#[derive(Debug, Clone)]
struct Kept {
    uid: u32,
    mail: Vec<u8>,
    is_deleted: bool,
}

#[derive(Default)]
struct Store {
    mails: Vec<Kept>,
    uid_next: u32,
    validity: u32,
    moods: Vec<Mood>,
    uidplus: bool,
    /// How often a mail was asked for whole.
    read: Vec<u32>,
    /// Commands that were said in the clear.
    clear: Vec<String>,
    /// How often somebody signed in.
    signed_in: usize,
}

/// A running mail system.
pub struct PostOffice {
    pub imap: SocketAddr,
    pub pop3: SocketAddr,
    /// Its own IMAP with TLS from the first byte, for `localhost`.
    pub imaps: SocketAddr,
    pub certificate: CertificateDer<'static>,
    store: Arc<Mutex<Store>>,
    sessions: watch::Receiver<usize>,
}

impl PostOffice {
    pub async fn open() -> PostOffice {
        let store = Store { uid_next: 1, validity: 7, uidplus: true, ..Store::default() };
        let store = Arc::new(Mutex::new(store));
        let (say, sessions) = watch::channel(0);
        let say = Arc::new(say);
        let (acceptor, certificate) = self_made_tls(&["localhost"]);
        let mut addresses = Vec::new();
        for (is_imap, is_implicit) in [(true, false), (false, false), (true, true)] {
            let acceptor = acceptor.clone();
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            addresses.push(listener.local_addr().expect("a bound socket"));
            let (store, say) = (store.clone(), say.clone());
            tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let (store, say, acceptor) = (store.clone(), say.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        let _ = serve(socket, (acceptor, is_implicit), is_imap, store).await;
                        say.send_modify(|n| *n += 1);
                    });
                }
            });
        }
        PostOffice { imap: addresses[0], pop3: addresses[1], imaps: addresses[2], certificate, store, sessions }
    }

    pub fn deliver(&self, mail: &str) {
        self.deliver_together(&[mail]);
    }

    /// No session sees one of them without the others.
    pub fn deliver_together(&self, mails: &[&str]) {
        let mut store = self.store.lock().expect("no panic holds it");
        for mail in mails {
            let uid = store.uid_next;
            store.uid_next += 1;
            store.mails.push(Kept { uid, mail: mail.as_bytes().to_vec(), is_deleted: false });
        }
    }

    /// What lies in the mailbox.
    pub fn mails(&self) -> Vec<String> {
        let store = self.store.lock().expect("no panic holds it");
        store.mails.iter().map(|kept| String::from_utf8_lossy(&kept.mail).into_owned()).collect()
    }

    /// How often a mail was asked for whole, since it was asked last.
    pub fn reads(&self) -> usize {
        std::mem::take(&mut self.store.lock().expect("no panic holds it").read).len()
    }

    pub fn moods(&self, moods: &[Mood]) {
        self.store.lock().expect("no panic holds it").moods = moods.to_vec();
    }

    pub fn is_calm(&self) -> bool {
        self.store.lock().expect("no panic holds it").moods.is_empty()
    }

    /// The folder was made anew: every UID means another mail.
    pub fn renumber(&self) {
        let mut store = self.store.lock().expect("no panic holds it");
        store.validity += 1;
        store.uid_next = 1;
        let mut next = 1;
        for kept in &mut store.mails {
            kept.uid = next;
            next += 1;
        }
        store.uid_next = next;
    }

    /// What was said in the clear, and how often somebody signed in, since it was asked last.
    pub fn heard(&self) -> (Vec<String>, usize) {
        let mut store = self.store.lock().expect("no panic holds it");
        (std::mem::take(&mut store.clear), std::mem::take(&mut store.signed_in))
    }

    pub fn without_uidplus(&self) {
        self.store.lock().expect("no panic holds it").uidplus = false;
    }

    /// Waits for `n` more sessions to end.
    pub async fn sessions(&self, n: usize) {
        let mut sessions = self.sessions.clone();
        let until = *sessions.borrow() + n;
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(120), sessions.wait_for(|ended| *ended >= until));
        assert!(matches!(ended.await, Ok(Ok(_))), "nobody looked into the mailbox");
    }
}

async fn serve(
    socket: TcpStream,
    (acceptor, is_implicit): (TlsAcceptor, bool),
    is_imap: bool,
    store: Arc<Mutex<Store>>,
) -> Option<End> {
    let mood = {
        let mut store = store.lock().expect("no panic holds it");
        if store.moods.is_empty() { Mood::Good } else { store.moods.remove(0) }
    };
    let mut session = Session { mood, is_encrypted: false, store: &store };
    if is_implicit {
        session.is_encrypted = true;
        return session.talk(&mut BufReader::new(acceptor.accept(socket).await.ok()?), is_imap, true).await;
    }
    let mut stream = BufReader::new(socket);
    let End::Upgrade = session.talk(&mut stream, is_imap, true).await? else { return Some(End::Over) };
    session.is_encrypted = true;
    session.talk(&mut BufReader::new(acceptor.accept(stream.into_inner()).await.ok()?), is_imap, false).await
}

struct Session<'s> {
    mood: Mood,
    is_encrypted: bool,
    store: &'s Mutex<Store>,
}

impl Session<'_> {
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        is_imap: bool,
        greets: bool,
    ) -> Option<End> {
        if greets {
            put(stream, if is_imap { "* OK [CAPABILITY IMAP4rev1] ready\r\n" } else { "+OK ready\r\n" }).await?;
        }
        if is_imap { imap(stream, self).await } else { pop3(stream, self).await }
    }

    fn hears(&self, line: &str) {
        if !self.is_encrypted {
            self.store.lock().expect("no panic holds it").clear.push(line.to_owned());
        }
    }

    fn signs_in(&self) {
        self.store.lock().expect("no panic holds it").signed_in += 1;
    }

    fn may_upgrade(&self) -> bool {
        self.mood != Mood::Plain && !self.is_encrypted
    }
}

async fn put<S: AsyncWrite + Unpin>(stream: &mut S, text: impl AsRef<[u8]>) -> Option<()> {
    stream.write_all(text.as_ref()).await.ok()?;
    stream.flush().await.ok()
}

async fn imap<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, session: &Session<'_>) -> Option<End> {
    let Session { mood, store, .. } = *session;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        session.hears(line.trim_end());
        let (tag, command) = line.trim_end().split_once(' ')?;
        let upper = command.to_ascii_uppercase();
        if upper.starts_with("LOGIN") {
            let wanted = format!("LOGIN \"{USER}\" \"{}\"", PASSWORD.replace('\\', "\\\\").replace('"', "\\\""));
            if command != wanted || mood == Mood::Refuses {
                put(stream, format!("{tag} NO [AUTHENTICATIONFAILED] who are you? {command}\r\n")).await?;
                continue;
            }
            session.signs_in();
        } else if upper == "STARTTLS" && session.may_upgrade() {
            let more = if mood == Mood::Injects { "* OK from somebody else\r\ni2 OK in\r\n" } else { "" };
            put(stream, format!("{tag} OK begin\r\n{more}")).await?;
            return Some(End::Upgrade);
        } else if upper == "CAPABILITY" {
            let uidplus = if store.lock().expect("no panic holds it").uidplus { " UIDPLUS" } else { "" };
            put(stream, format!("* CAPABILITY IMAP4rev1{uidplus}\r\n")).await?;
        } else if upper.starts_with("SELECT") {
            let (n, validity) = {
                let store = store.lock().expect("no panic holds it");
                (store.mails.len(), store.validity)
            };
            put(stream, format!("* FLAGS (\\Deleted)\r\n* {n} EXISTS\r\n* OK [UIDVALIDITY {validity}] \u{fc}ber\r\n"))
                .await?;
        } else if let Some(rest) = upper.strip_prefix("UID FETCH ") {
            match mood {
                Mood::Garbage => {
                    put(stream, b"* 1 FETCH (UID \xff\xfe RFC822.SIZE)) {3}\r\n\0\0\0 }{\r\n* \r\n*\r\nmoo\r\n")
                        .await?;
                    return None;
                }
                Mood::Endless => {
                    put(stream, "* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\n").await?;
                    let _ = put(stream, vec![b'x'; 4 << 20]).await;
                    return None;
                }
                _ => {}
            }
            if mood == Mood::Withholds && rest.contains("BODY") && !is_last(rest, store) {
                put(stream, format!("{tag} NO it is broken\r\n")).await?;
                continue;
            }
            let said = fetched(rest, store);
            if mood == Mood::HangsUp && rest.contains("BODY") {
                put(stream, &said[..said.len() / 2]).await?;
                return None;
            }
            put(stream, said).await?;
        } else if let Some(rest) = upper.strip_prefix("UID STORE ") {
            mark(rest, store);
        } else if let Some(rest) = upper.strip_prefix("UID EXPUNGE ") {
            let uid: u32 = rest.trim().parse().ok()?;
            store.lock().expect("no panic holds it").mails.retain(|kept| !(kept.uid == uid && kept.is_deleted));
        } else if upper == "LOGOUT" {
            put(stream, format!("* BYE see you\r\n{tag} OK gone\r\n")).await?;
            return Some(End::Over);
        } else {
            put(stream, format!("{tag} BAD what?\r\n")).await?;
            continue;
        }
        put(stream, format!("{tag} OK done\r\n")).await?;
    }
}

/// Whether `7 BODY.PEEK[]` is about the last mail.
fn is_last(rest: &str, store: &Mutex<Store>) -> bool {
    let last = store.lock().expect("no panic holds it").mails.last().map(|kept| kept.uid.to_string());
    rest.split(' ').next() == last.as_deref()
}

/// `7:* (UID RFC822.SIZE)` or `7 BODY.PEEK[]`, answered.
fn fetched(rest: &str, store: &Mutex<Store>) -> Vec<u8> {
    let mut store = store.lock().expect("no panic holds it");
    let (set, what) = rest.split_once(' ').expect("a set and what of it");
    let first: u32 = set.split(':').next().and_then(|first| first.parse().ok()).expect("a UID");
    let last = store.mails.last().map_or(0, |kept| kept.uid);
    let is_range = set.contains(":*");
    let chosen: Vec<(usize, Kept)> = store
        .mails
        .iter()
        .cloned()
        .enumerate()
        // "n:*" always means the last mail too.
        .filter(|(_, kept)| if is_range { kept.uid >= first || kept.uid == last } else { kept.uid == first })
        .collect();
    let mut out = Vec::new();
    for (at, kept) in chosen {
        let (number, uid, bytes) = (at + 1, kept.uid, kept.mail.len());
        if what.contains("BODY.PEEK[]") {
            store.read.push(uid);
            out.extend(format!("* {number} FETCH (UID {uid} BODY[] {{{bytes}}}\r\n").into_bytes());
            out.extend(&kept.mail);
            out.extend(b")\r\n");
        } else {
            out.extend(format!("* {number} FETCH (UID {uid} RFC822.SIZE {bytes})\r\n").into_bytes());
        }
    }
    out
}

fn mark(rest: &str, store: &Mutex<Store>) {
    let uid: Option<u32> = rest.split(' ').next().and_then(|uid| uid.parse().ok());
    let mut store = store.lock().expect("no panic holds it");
    store.mails.iter_mut().filter(|kept| Some(kept.uid) == uid).for_each(|kept| kept.is_deleted = true);
}

async fn pop3<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, session: &Session<'_>) -> Option<End> {
    let Session { mood, store, .. } = *session;
    let mails = store.lock().expect("no panic holds it").mails.clone();
    let validity = store.lock().expect("no panic holds it").validity;
    let mut gone: Vec<u32> = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        session.hears(line);
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let named = || rest.parse::<usize>().ok().and_then(|n| mails.get(n.checked_sub(1)?));
        match command {
            "USER" if rest == USER => put(stream, "+OK\r\n").await?,
            "STLS" if session.may_upgrade() => {
                let more = if mood == Mood::Injects { "+OK from somebody else\r\n+OK in\r\n" } else { "" };
                put(stream, format!("+OK begin\r\n{more}")).await?;
                return Some(End::Upgrade);
            }
            "PASS" if rest == PASSWORD && mood != Mood::Refuses => {
                session.signs_in();
                put(stream, "+OK in\r\n").await?;
            }
            "PASS" => put(stream, format!("-ERR [AUTH] what is {rest}?\r\n")).await?,
            "RETR" if mood == Mood::Withholds && rest.parse() != Ok(mails.len()) => {
                put(stream, "-ERR it is broken\r\n").await?;
            }
            "UIDL" | "LIST" if mood == Mood::Garbage => {
                put(stream, b"+OK\r\n\xff\xfe\r\nx y z\r\n-1 -1\r\n.\r\n").await?;
            }
            "UIDL" | "LIST" if mood == Mood::Endless => {
                put(stream, "+OK\r\n1 ").await?;
                let _ = put(stream, vec![b'x'; 4 << 20]).await;
                return None;
            }
            "UIDL" | "LIST" => {
                let row = |(at, kept): (usize, &Kept)| match command {
                    "UIDL" => format!("{} u{validity}-{}\r\n", at + 1, kept.uid),
                    _ => format!("{} {}\r\n", at + 1, kept.mail.len()),
                };
                let rows: String = mails.iter().enumerate().map(row).collect();
                put(stream, format!("+OK {} mails\r\n{rows}.\r\n", mails.len())).await?;
            }
            "RETR" => {
                let kept = named()?;
                store.lock().expect("no panic holds it").read.push(kept.uid);
                let text = String::from_utf8_lossy(&kept.mail).replace("\r\n.", "\r\n..");
                let text = if text.ends_with("\r\n") { text } else { format!("{text}\r\n") };
                if mood == Mood::HangsUp {
                    put(stream, format!("+OK\r\n{}", &text[..text.len() / 2])).await?;
                    return None;
                }
                put(stream, format!("+OK\r\n{text}.\r\n")).await?;
            }
            "DELE" => {
                gone.push(named()?.uid);
                put(stream, "+OK\r\n").await?;
            }
            "QUIT" => {
                store.lock().expect("no panic holds it").mails.retain(|kept| !gone.contains(&kept.uid));
                put(stream, "+OK bye\r\n").await?;
                return Some(End::Over);
            }
            _ => put(stream, "-ERR what?\r\n").await?,
        }
    }
}
