//! Nothing that a peer says makes the wire panic or lie: random servers against our client, random clients against our
//! listener.

use std::sync::Arc;
use std::time::Duration;

use indicia::smtp::listener::{self, Limits, Received, Receiver, Verdict};
use indicia::smtp::{Connection, Envelope, Opened, Reply, Route, Stage, Timeouts, Tls, TlsConfigs};
use memchr::memmem;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const MAIL: &[u8] = b"Subject: hello\r\n\r\nA line.\r\n";
const DOT: &[u8] = b"A line.\r\n.\r\n";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Something a server might say: often fit, sometimes torn, sometimes noise.
fn said_by_server() -> impl Strategy<Value = Vec<u8>> {
    let fit = prop::sample::select(vec![
        "250 2.0.0 ok\r\n",
        "250 ok\r\n",
        "354 go on\r\n",
        "451 4.7.1 later\r\n",
        "550-5.1.1 no\r\n550 5.1.1 such user\r\n",
        "421 4.3.2 closing\r\n",
        "221 bye\r\n",
        "334 \r\n",
        "250-\r\n",
        "25",
        "999 what\r\n",
        "354\n",
    ]);
    prop_oneof![
        8 => fit.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => "[0-9]{1,4}[- ]?[ -~]{0,20}\r?\n".prop_map(String::into_bytes),
    ]
}

/// A greeting that leads on to MAIL most of the time, then anything.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let greeting = prop::sample::select(vec![
        "220 hi\r\n250-hi\r\n250-SIZE 99999999999999999999\r\n250 PIPELINING\r\n",
        "220 hi\r\n250 hi\r\n",
        "220 hi\r\n500 what\r\n250 hi\r\n",
        "",
    ]);
    let open = prop::sample::select(vec!["250 ok\r\n250 ok\r\n354 go\r\n", ""]);
    (greeting, open, prop::collection::vec(said_by_server(), 0..12))
        .prop_map(|(greeting, open, rest)| [greeting.as_bytes(), open.as_bytes(), &rest.concat()].concat())
}

/// Says `script` to whoever connects, then nothing more; returns what it heard.
async fn recite(listener: TcpListener, script: Vec<u8>) -> Vec<u8> {
    let (mut socket, _) = listener.accept().await.expect("a client");
    let (mut input, mut output) = socket.split();
    let mut heard = Vec::new();
    let speaking = async {
        let _ = output.write_all(&script).await;
        let _ = output.shutdown().await;
    };
    let _ = tokio::join!(speaking, input.read_to_end(&mut heard));
    heard
}

/// One whole conversation; says whether our dot may have left, by the client's own account, for the first mail.
async fn converse(port: u16) -> Option<bool> {
    let route =
        Route { timeouts: Timeouts::all(Duration::from_secs(30)), ..Route::new("fuzz", "127.0.0.1", port, Tls::None) };
    let mut connection = Connection::open(&route, &TlsConfigs::none()).await.ok()?;
    let envelope = Envelope::new("a@x.example", "b@x.example").expect("a good envelope");
    let opened = connection.open_envelope(&envelope).await;
    if !matches!(opened, Ok(Opened::Ready)) {
        let _ = connection.quit().await;
        return Some(false);
    }
    if let Err(failure) = connection.send_content(MAIL).await {
        assert!(failure.stage == Stage::Body && !failure.dot_written, "{failure:?}");
        return Some(false);
    }
    let finished = connection.finish(Some(&envelope)).await;
    let dot_written = match &finished.reply {
        Ok(reply) => {
            assert!(reply.positive());
            true
        }
        Err(failure) => {
            assert_eq!(failure.dot_written, failure.stage == Stage::Dot, "{failure:?}");
            failure.dot_written
        }
    };
    match finished.next {
        Some(Ok(Opened::Ready)) => connection.abandon(),
        _ => drop(connection.quit().await),
    }
    Some(dot_written)
}

/// Takes everything.
struct Anyone;

impl Receiver for Anyone {
    async fn receive(&self, mail: Received) -> Verdict {
        assert!(!mail.to.is_empty());
        Verdict::Taken
    }
}

fn said_by_client() -> impl Strategy<Value = Vec<u8>> {
    let fit = prop::sample::select(vec![
        "EHLO me\r\n",
        "HELO me\r\n",
        "MAIL FROM:<a@x.example>\r\n",
        "mail from:<> SIZE=5\r\n",
        "RCPT TO:<b@x.example>\r\n",
        "RCPT TO:<@:>\r\n",
        "DATA\r\n",
        "Subject: x\r\n\r\n.x\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "\n.\n",
        "RSET\r\n",
        "NOOP\r\n",
        "VRFY é\r\n",
        "\r\n",
    ]);
    prop_oneof![
        8 => fit.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(Just(b'x'), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_a_reply_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Some((reply, used))) = Reply::parse(&bytes) {
            prop_assert!(used <= bytes.len() && (200..600).contains(&reply.code));
            // What follows a reply does not change it.
            prop_assert_eq!(Reply::parse(&bytes[..used]), Ok(Some((reply, used))));
        }
    }

    #[test]
    fn whatever_the_server_says_the_client_knows_whether_its_dot_left(script in conversation()) {
        let (claimed, heard) = runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            tokio::join!(converse(port), recite(listener, script))
        });
        let dot_arrived = memmem::find(&heard, DOT).is_some();
        prop_assert_eq!(claimed.unwrap_or(false), dot_arrived, "heard {}", String::from_utf8_lossy(&heard));
    }

    #[test]
    fn whatever_the_client_says_the_listener_answers_and_says_goodbye(
        script in prop::collection::vec(said_by_client(), 0..20)
    ) {
        let mut script = script.concat();
        script.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
        let said = runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            let stop = CancellationToken::new();
            let limits = Limits { mail_bytes_max: 200, line_bytes_max: 100, ..Limits::default() };
            let serving = tokio::spawn(listener::serve(listener, Arc::new(Anyone), limits, stop.clone()));
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            socket.write_all(&script).await.expect("a small write");
            let mut said = Vec::new();
            let _ = socket.read_to_end(&mut said).await;
            stop.cancel();
            serving.await.expect("the listener does not panic");
            said
        });
        let mut rest = said.as_slice();
        let mut last = 0;
        while let Some((reply, used)) = Reply::parse(rest).map_err(TestCaseError::fail)? {
            (last, rest) = (reply.code, &rest[used..]);
        }
        prop_assert!(rest.is_empty() && (last == 221 || last == 421), "{}", String::from_utf8_lossy(&said));
    }
}
