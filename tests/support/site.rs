//! A campaign of a few sent mails, the public listener in front of it, and a client that sees every byte.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use indicia::base::World;
use indicia::base::metrics::Metrics;
use indicia::base::token::{Keyring, Token, Use};
use indicia::domain::recommend::care::Cares;
use indicia::domain::touch::Agents;
use indicia::flow::editions::Editions;
use indicia::flow::track;
use indicia::flow::web_version::WebVersions;
use indicia::on;
use indicia::render::Sender;
use indicia::store::{Db, Lane};
use indicia::web::Pages;
use indicia::web::client::TrustedProxies;
use indicia::web::public::{self, Bounds, Hooks, PublicState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub const NOW_MS: i64 = 1_790_000_000_000;
pub const RUN: u32 = 1;
pub const PERSON: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n";

/// Where link 1 of the template leads; it has a query and a fragment that must be kept.
pub const LINK: &str = "https://shop.example/sale?utm=a&b=%20c#top";

/// The member numbered `n` (from 1) got the message numbered `n`: members 1, 2, 3 live, 4 erased since.
const ROWS: &[&str] = &[
    "insert into provider (name) values ('other')",
    "insert into member (status, email, addr_key, locale, provider_id, lot, created_at_ms, updated_at_ms) values
       ('live', 'one@example.com', 101, 'en', 1, 1, 0, 0), ('live', 'two@example.com', 102, 'ru', 1, 2, 0, 0),
       ('live', 'three@example.com', 103, 'zh-Hans-CN', 1, 3, 0, 0), ('erased', null, null, 'en', 1, 4, 0, 0)",
    "insert into consent (member_id, topic, state, at_ms) values
       (1, 'offers', 'granted', 0), (1, 'news', 'granted', 0), (2, 'offers', 'granted', 0), (3, 'offers', 'granted', 0)",
    "insert into product (sku, name, url, created_at_ms, updated_at_ms) values
       ('A', 'A kettle', 'https://shop.example/kettle', 0, 0), ('B', 'Bad', 'javascript:alert(1)', 0, 0),
       ('C', 'Чайник', 'https://shop.example/чайник', 0, 0)",
    "insert into template (name) values ('sale')",
    "insert into template_version (template_id, version, class, topic, default_locale, sha, created_at_ms)
       values (1, 1, 'marketing', 'offers', 'en', 'x', 0)",
    "insert into campaign (name, created_at_ms) values ('sale-2026', 0)",
    "insert into run (campaign_id, scheduled_for_ms, state, seed, doc, frozen_n, created_at_ms) values (1, 0, 'finished', 7,
       '{\"campaign\":\"sale-2026\",\"class\":\"marketing\",\"topic\":\"offers\",\"sender\":\"s\",\"segment\":\"true\",\
        \"holdout\":0,\"rate\":null,\"variants\":[{\"name\":\"a\",\"template\":\"sale\",\"template_version_id\":1,\"share\":1}]}', 4, 0)",
    "insert into message (run_id, origin, member_id, provider_id, addr_key, template_version_id, state, attempt, sent_at_ms) values
       (1, 1, 1, 1, 101, 1, 'sent', 1, 5), (1, 2, 2, 1, 102, 1, 'sent', 1, 5), (1, 3, 3, 1, 103, 1, 'sent', 1, 5),
       (1, 4, null, 1, 104, 1, 'sent', 1, 5)",
];

/// Runs plain statements, one after the other.
pub async fn execute(db: &Db, statements: impl IntoIterator<Item = String>) {
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    for sql in statements {
        let sql = sqlx::AssertSqlSafe(sql);
        on!(tx.conn(), "run a test's statement", c => sqlx::query(sql).execute(&mut *c).await.map(|_| ())).unwrap();
    }
    tx.commit().await.unwrap();
}

/// The single integer a query answers with.
pub async fn number(db: &Db, sql: &str) -> i64 {
    let mut reader = db.reader().await.unwrap();
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    on!(reader.conn(), "ask a test's question", c => sqlx::query_scalar(sql).fetch_one(&mut *c).await).unwrap()
}

/// The single text a query answers with.
pub async fn words(db: &Db, sql: &str) -> String {
    let mut reader = db.reader().await.unwrap();
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    on!(reader.conn(), "ask a test's question", c => sqlx::query_scalar(sql).fetch_one(&mut *c).await).unwrap()
}

/// Writes the campaign of the constants above.
pub async fn campaign(db: &Db) {
    let link = format!("insert into link (template_version_id, slot, url, label) values (1, 1, '{LINK}', 'sale')");
    execute(db, ROWS.iter().map(|sql| (*sql).to_owned()).chain([link])).await;
}

/// The public listener on a port of its own.
pub struct Site {
    pub world: World,
    pub keys: Arc<Keyring>,
    pub metrics: Metrics,
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub served: tokio::task::JoinHandle<()>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).is_some();
        self.head.lines().find(|line| named(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Site {
    pub async fn start(db: &Db) -> Site {
        Site::start_behind(db, &[], Bounds::default()).await
    }

    pub async fn start_behind(db: &Db, trusted: &[&str], bounds: Bounds) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (world, metrics) = (World::seeded(1, NOW_MS), Metrics::new());
        let keys = Arc::new(Keyring::new(&[(1, [3; 32])]));
        let (tracker, writer) = track::tracker(db.clone(), metrics.clone());
        tokio::spawn(writer.run());
        let shutdown = CancellationToken::new();
        let web_versions = WebVersions::new(
            db.clone(),
            Editions::new(db.clone(), Cares::embedded()),
            keys.clone(),
            vec![sender()],
            "http://t.example".to_owned(),
        );
        let state = PublicState {
            db: db.clone(),
            world: world.clone(),
            keys: keys.clone(),
            tracker,
            metrics: metrics.clone(),
            pages: Pages::new(),
            agents: Agents::new(),
            web_versions,
            proxies: TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect()),
            bounds,
            hooks: Hooks::none(),
            signup: None,
            shop: None,
        };
        let served = tokio::spawn(public::serve(listener, state, shutdown.clone()));
        Site { world, keys, metrics, address, shutdown, served }
    }

    pub fn path(&self, letter: char, usage: Use, message: i64) -> String {
        self.path_of(letter, usage, &Token::of(RUN, message))
    }

    pub fn path_of(&self, letter: char, usage: Use, token: &Token) -> String {
        let end = if letter == 'o' { ".gif" } else { "" };
        format!("/{letter}/{}{end}", self.keys.seal(usage, token))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, PERSON, b"").await
    }

    pub async fn post(&self, path: &str, kind: &str, body: &str) -> Answer {
        let headers = format!("{PERSON}Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        self.ask("POST", path, &headers, body.as_bytes()).await
    }

    /// One request on a connection of its own, and everything that comes back.
    pub async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        ask(self.address, method, path, &format!("Host: t.example\r\n{headers}"), body).await
    }

    /// Ends the listener and waits until it is gone.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.unwrap();
    }
}

/// One request to `address` on a connection of its own, and everything that comes back.
pub async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may answer, and close, before it has seen all of a body.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    read.expect("an answer in time").expect("an answer, not a reset");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..at].to_vec()).expect("a head in ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: bytes[at + 4..].to_vec() }
}

/// The sender that the campaign names.
fn sender() -> Sender {
    Sender { key: "s".into(), name: "Shop".into(), from: "a@shop.example".into(), ..Sender::default() }
}

/// Where the last touch came from.
pub async fn last_ip(db: &Db) -> IpAddr {
    words(db, "select ip from touch order by id desc limit 1").await.parse().unwrap()
}
