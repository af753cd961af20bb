//! The built-in mailbox behind our own listener: mails come in over SMTP, are found again, survive a restart, and are
//! bounded; a rude client gets its answer.

use std::sync::Arc;
use std::time::Duration;

use indicia::app::config;
use indicia::app::mailbox::RunningMailbox;
use indicia::base::World;
use indicia::smtp::listener::{self, Limits, Received, Receiver, Verdict};
use indicia::smtp::mailbox::{Bounds, Mailbox};
use indicia::smtp::{Connection, Envelope, Opened, Route, Stage, Tls, TlsConfigs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

const MAIL: &str = "From: Shop <shop@us.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
    plain\r\n.dot\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>rich</p>\r\n--b--\r\n";
const WIDE: Bounds = Bounds { mails_max: 1000, bytes_max: 1 << 30 };

struct Server {
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start<R: Receiver>(receiver: Arc<R>, limits: Limits) -> Server {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let task = tokio::spawn(listener::serve(socket, receiver, limits, stop.clone()));
        Server { port, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    async fn client(&self) -> Connection {
        let route = Route::new("mailbox", "127.0.0.1", self.port, Tls::None);
        Connection::open(&route, &TlsConfigs::none()).await.unwrap()
    }

    /// What the server says to `lines` until it closes.
    async fn shout(&self, lines: &[u8]) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut input, mut output) = socket.split();
        let mut said = Vec::new();
        let reading = input.read_to_end(&mut said);
        let writing = async {
            let _ = output.write_all(lines).await;
            let _ = output.shutdown().await;
        };
        let _ = tokio::join!(reading, writing);
        String::from_utf8_lossy(&said).into_owned()
    }
}

fn mailbox(folder: &std::path::Path, bounds: Bounds) -> Arc<Mailbox> {
    Arc::new(Mailbox::open(folder, bounds, World::seeded(1, 1_700_000_000_000)).unwrap())
}

async fn send(connection: &mut Connection, to: &str, body: &str) {
    let envelope = Envelope::new("b-1@bounce.example", to).unwrap();
    assert_eq!(connection.open_envelope(&envelope).await.unwrap(), Opened::Ready);
    connection.send_content(body.as_bytes()).await.unwrap();
    assert_eq!(connection.finish(None).await.reply.unwrap().code, 250);
}

#[tokio::test]
async fn mails_come_in_over_smtp_and_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = mailbox(folder.path(), WIDE);
    let server = Server::start(Arc::clone(&mailbox), Limits::default()).await;
    let mut connection = server.client().await;
    assert!(connection.capabilities().pipelining && connection.capabilities().eight_bit_mime);
    assert_eq!(connection.capabilities().size, Some(10 << 20));
    send(&mut connection, "Anna@x.example", MAIL).await;
    send(&mut connection, "boris@x.example", "Subject: two\r\n\r\n..\r\n").await;
    send(&mut connection, "anna@x.example", "Subject: three\r\n\r\nhello\r\n").await;

    let subjects = |to| mailbox.list(to, 10).into_iter().map(|entry| entry.subject).collect::<Vec<_>>();
    assert_eq!(subjects(None), ["three", "two", "Grüße"]);
    assert_eq!(subjects(Some("ANNA@x.example")), ["three", "Grüße"]);
    assert_eq!(mailbox.list(None, 1).len(), 1);
    let first = &mailbox.list(None, 10)[2];
    assert_eq!((first.from.as_str(), first.received_at_ms), ("b-1@bounce.example", 1_700_000_000_000));
    let letter = mailbox.open_letter(first.id).await.unwrap().unwrap();
    assert_eq!(letter.html.as_deref(), Some("<p>rich</p>"));
    assert_eq!(letter.text.as_deref(), Some("plain\r\n.dot"));
    assert_eq!(letter.raw, MAIL);
    assert_eq!(mailbox.get(first.id + 1).await.unwrap().unwrap(), b"Subject: two\r\n\r\n..\r\n");
    assert_eq!(mailbox.open_letter(99).await.unwrap(), None);
    server.stop().await;
}

#[tokio::test]
async fn a_restart_finds_every_answered_mail_and_no_half_written_one() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=2 {
        let mailbox = mailbox(folder.path(), WIDE);
        let server = Server::start(Arc::clone(&mailbox), Limits::default()).await;
        let mut connection = server.client().await;
        for _ in 0..3 {
            send(&mut connection, "a@x.example", MAIL).await;
        }
        assert_eq!((mailbox.count(), mailbox.count_ever()), (3 * round, 3 * round as i64));
        server.stop().await;
    }
    // A crash between the mail's file and its index line, and one within the line.
    std::fs::write(folder.path().join("00000007.eml"), "half").unwrap();
    let index = folder.path().join("index.jsonl");
    let mut lines = std::fs::read(&index).unwrap();
    lines.extend_from_slice(b"{\"id\":7,\"received");
    std::fs::write(&index, lines).unwrap();
    std::fs::remove_file(folder.path().join("00000001.eml")).unwrap();
    let mailbox = mailbox(folder.path(), WIDE);
    let ids: Vec<i64> = mailbox.list(None, 10).iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [6, 5, 4, 3, 2]);
    assert!(!folder.path().join("00000007.eml").exists());
    assert_eq!(mailbox.receive(received("a@x.example", MAIL)).await, Verdict::Taken);
    assert_eq!(mailbox.list(None, 1)[0].id, 7);
}

fn received(to: &str, content: &str) -> Received {
    Received { from: String::new(), to: vec![to.to_owned()], content: content.as_bytes().to_vec() }
}

#[tokio::test]
async fn the_oldest_go_first_when_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let by_count = Bounds { mails_max: 5, bytes_max: 1 << 30 };
    let mailbox_of_five = mailbox(folder.path(), by_count);
    for _ in 0..12 {
        assert_eq!(mailbox_of_five.receive(received("a@x.example", MAIL)).await, Verdict::Taken);
    }
    drop(mailbox_of_five);
    let by_bytes = Bounds { mails_max: 1000, bytes_max: 2 * MAIL.len() as u64 };
    let mailbox = mailbox(folder.path(), by_bytes);
    assert_eq!((mailbox.count(), mailbox.count_ever()), (2, 12));
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2 + 1, "two mails and the index");
}

#[tokio::test]
async fn twenty_connections_deliver_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = mailbox(folder.path(), WIDE);
    let server = Server::start(Arc::clone(&mailbox), Limits::default()).await;
    let mut senders = JoinSet::new();
    for n in 0..20 {
        let mut connection = server.client().await;
        senders.spawn(async move {
            let to = format!("m{n}@x.example");
            let envelope = Envelope::new("", &to).unwrap();
            connection.open_envelope(&envelope).await.unwrap();
            for left in (0..20).rev() {
                connection.send_content(MAIL.as_bytes()).await.unwrap();
                let finished = connection.finish((left > 0).then_some(&envelope)).await;
                finished.reply.unwrap();
            }
        });
    }
    senders.join_all().await;
    assert_eq!(mailbox.count(), 400);
    assert_eq!(mailbox.list(Some("m7@x.example"), 100).len(), 20);
}

/// Knows only `known@…`, and takes what says so.
struct Picky;

impl Receiver for Picky {
    fn knows(&self, recipient: &str) -> bool {
        recipient.starts_with("known")
    }

    async fn receive(&self, mail: Received) -> Verdict {
        match mail.content.first() {
            Some(b'T') => Verdict::Taken,
            Some(b'L') => Verdict::Later("busy"),
            _ => Verdict::Refused("we do not like it"),
        }
    }
}

#[tokio::test]
async fn a_receiver_decides_over_recipients_and_mails() {
    let server = Server::start(Arc::new(Picky), Limits::default()).await;
    let mut connection = server.client().await;
    let unknown = Envelope::new("a@x.example", "unknown@x.example").unwrap();
    let known = Envelope::new("a@x.example", "known@x.example").unwrap();
    let Opened::Refused { stage, reply } = connection.open_envelope(&unknown).await.unwrap() else { panic!() };
    assert_eq!((stage, reply.code, reply.enhanced), (Stage::Rcpt, 550, Some((5, 1, 1))));
    assert!(connection.is_clean());
    for (body, code) in [("T\r\n", 250), ("L\r\n", 451), ("N\r\n", 554)] {
        connection.open_envelope(&known).await.unwrap();
        connection.send_content(body.as_bytes()).await.unwrap();
        let reply = connection.finish(None).await.reply;
        assert_eq!(reply.unwrap_or_else(|failure| failure.reply().unwrap().clone()).code, code);
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_the_session_goes_on() {
    let limits = Limits { mail_bytes_max: 1000, recipients_max: 2, line_bytes_max: 100, ..Limits::default() };
    let server = Server::start(Arc::new(Picky), limits).await;
    let mut script = b"EHLO me\r\nMAIL FROM:<a@x.example> SIZE=1001\r\nMAIL FROM:<a@x.example>\r\n".to_vec();
    script.extend_from_slice(
        b"RCPT TO:<known1@x.example>\r\nRCPT TO:<known2@x.example>\r\nRCPT TO:<known3@x.example>\r\n",
    );
    script.extend_from_slice(b"DATA\r\n");
    script.extend_from_slice(&b"T 0123456789\r\n".repeat(100_000));
    script.extend_from_slice(b".\r\n");
    script.extend_from_slice(&b"x".repeat(300_000));
    script.extend_from_slice(
        b"\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<known1@x.example>\r\nDATA\r\nT\n.\nstill\r\n.\r\nQUIT\r\n",
    );
    let said = server.shout(&script).await;
    let codes: Vec<&str> = said.lines().filter_map(|line| line.get(..3)).collect();
    let expected =
        ["220", "250", "250", "250", "250", "250", "552", "250", "250", "250", "452", "354", "552", "500", "250"];
    assert_eq!(codes[..15], expected, "{said}");
    assert_eq!(codes[15..], ["250", "354", "250", "221"], "{said}");
}

#[tokio::test]
async fn rude_and_surplus_clients_are_sent_away() {
    let server = Server::start(Arc::new(Picky), Limits { errors_max: 3, ..Limits::default() }).await;
    let said = server.shout(&b"nonsense\r\n".repeat(50)).await;
    assert_eq!((said.matches("500 5.5.1").count(), said.matches("421 4.7.0").count()), (4, 1), "{said}");

    let server = Server::start(Arc::new(Picky), Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    first.read_exact(&mut [0; 3]).await.unwrap();
    assert!(server.shout(b"").await.starts_with("421 4.3.2 too many"));
}

#[tokio::test]
async fn a_silent_client_is_sent_away() {
    for opening in ["", "EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<known@x.example>\r\nDATA\r\nnever ended"] {
        let limits = Limits { idle: Duration::from_millis(50), ..Limits::default() };
        let server = Server::start(Arc::new(Picky), limits).await;
        let mut idle = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        idle.write_all(opening.as_bytes()).await.unwrap();
        let mut said = String::new();
        idle.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with("421 4.4.2 too slow, closing\r\n"), "{said}");
    }
}

#[tokio::test]
async fn a_stop_tells_open_connections_and_ends() {
    let server = Server::start(Arc::new(Picky), Limits::default()).await;
    let mut open = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let mut banner = [0; 3];
    open.read_exact(&mut banner).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), server.stop()).await.expect("it stops");
    let mut rest = String::new();
    open.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("421 4.3.2 shutting down\r\n"), "{rest}");
}

#[tokio::test]
async fn the_configured_mailbox_starts_and_is_a_route() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Mailbox {
        listen: "127.0.0.1:0".parse().unwrap(),
        folder: folder.path().join("new/folder"),
        mails_max: 10,
        bytes_max: 1 << 20,
        mail_bytes_max: 5000,
    };
    let stop = CancellationToken::new();
    let running = RunningMailbox::start(&config, World::seeded(1, 1), stop.clone()).await.unwrap();
    let mut connection = Connection::open(&running.route(), &TlsConfigs::none()).await.unwrap();
    assert_eq!(connection.capabilities().size, Some(5000));
    send(&mut connection, "a@x.example", MAIL).await;
    assert_eq!(running.mailbox.count(), 1);
    let taken = config::Mailbox { listen: running.address, ..config };
    let error = RunningMailbox::start(&taken, World::seeded(1, 1), stop.clone()).await.err().unwrap();
    assert!(error.to_string().contains("[mailbox] listen"), "{error}");
    stop.cancel();
    running.task.await.unwrap();
}
