//! The tracking pixel, answered after its event is on the disk, beside nginx's `empty_gif` with an access log.
//!
//! `cargo bench --bench tracking`. Needs Debian's `nginx` and `wrk`. Rounds of nginx and ours alternate over kept
//! connections and 100,000 distinct valid tokens; the first round is dropped, the median ratio counts. Then 5,000
//! requests a second by an own paced client, whose latencies are measured from when each request was due: first against
//! the listener alone, then against a daemon that sends a campaign to Postfix's `smtp-sink` all the while.
//! `INDICIA_BENCH_DIR` says where the database lies (a real disk), `INDICIA_BENCH_SECONDS` how long a round takes.

#[expect(dead_code, reason = "shared with benchmarks that measure other things")]
mod common;
#[path = "common/fold.rs"]
mod fold;
#[path = "common/shop.rs"]
mod shop;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{folder, free_port, indicia, number, serve, smtp_sink};
use indicia::base::World;
use indicia::base::metrics::Metrics;
use indicia::base::token::{Keyring, Token, Use};
use indicia::domain::recommend::care::Cares;
use indicia::domain::touch::Agents;
use indicia::flow::editions::Editions;
use indicia::flow::track;
use indicia::flow::web_version::WebVersions;
use indicia::on;
use indicia::store::{Db, Lane, OpenOptions};
use indicia::web::Pages;
use indicia::web::client::TrustedProxies;
use indicia::web::public::{self, Bounds, Hooks, PublicState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const TOKENS: i64 = 100_000;
const ROUNDS: usize = 5;
const CONNECTIONS: [usize; 2] = [64, 256];
/// Ours over nginx's, requests per second.
const RATIO_BAR: f64 = 0.5;
const PACED_PER_SECOND: u32 = 5_000;
/// Latency of the slowest hundredth at that pace, milliseconds.
const P99_BAR_MS: f64 = 15.0;
/// The same while a campaign sends, milliseconds; how many mails it has, more than it can send in a round.
const P99_SENDING_BAR_MS: f64 = 50.0;
const MAILS: usize = 100_000;
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn main() {
    for tool in ["nginx", "wrk"] {
        let there = Command::new(tool).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        assert!(there, "this benchmark needs {tool}: apt-get install nginx-light wrk");
    }
    let folder = folder();
    let seconds = number("INDICIA_BENCH_SECONDS", 6) as u32;
    let keys = Arc::new(Keyring::new(&[(1, [3; 32])]));
    let paths: Vec<String> = (1..=TOKENS).map(|message| keys.seal(Use::Open, &Token::of(1, message))).collect();
    let script = write_script(folder.path(), &paths);
    // As many as the daemon has on SQLite.
    let workers = std::thread::available_parallelism().map_or(1, |all| (all.get() - 1).max(1));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime");
    let site = runtime.block_on(Site::start(folder.path(), keys));
    let nginx = Nginx::start(folder.path());
    for connections in CONNECTIONS {
        compare(connections, seconds, &script, &nginx, &site, &runtime);
    }
    // What nginx's log still has to write is not ours to wait for.
    rustix::fs::sync();
    paced("tracking_p99_ms_at_5000", P99_BAR_MS, site.address, &paths, seconds);
    drop(nginx);
    while_sending(seconds);
}

/// The paced client against a daemon that sends a campaign; one JSON line.
fn while_sending(seconds: u32) {
    let home = folder();
    let (_sink, port) = smtp_sink();
    shop::set_up(home.path(), MAILS, "sqlite://data/indicia.db", port, 20, "");
    let http = free_port();
    let config = home.path().join("indicia.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(&config, text.replacen("127.0.0.1:0", &format!("127.0.0.1:{http}"), 1)).expect("write");
    let daemon = serve(home.path());
    let key = indicia::app::keys::read(&home.path().join("data/token-1.key")).expect("the daemon's own key");
    let keys = Keyring::new(&[(1, key)]);
    let paths: Vec<String> = (1..=MAILS as i64).map(|message| keys.seal(Use::Open, &Token::of(1, message))).collect();
    let sent = || {
        let shown = indicia(home.path(), &["campaign", "show", "bench", "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["by_state"]["sent"].as_i64().expect("a count")
    };
    indicia(home.path(), &["campaign", "start", "campaign.toml"]);
    while sent() == 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = sent();
    paced("tracking_p99_ms_while_sending", P99_SENDING_BAR_MS, ([127, 0, 0, 1], http).into(), &paths, seconds);
    let after = sent();
    assert!(before < after && after < MAILS as i64, "the campaign was not sending all the while: {before}, {after}");
    eprintln!("meanwhile {} mails a second were sent", (after - before) / i64::from(seconds));
    daemon.stop();
}

/// Alternating rounds; one JSON line.
fn compare(
    connections: usize,
    seconds: u32,
    script: &Path,
    nginx: &Nginx,
    site: &Site,
    runtime: &tokio::runtime::Runtime,
) {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let control = wrk(nginx.port, connections, seconds, script);
        let (cpu, before) = (cpu_us(), runtime.block_on(site.touches()));
        let ours = wrk(site.address.port(), connections, seconds, script);
        let cpu = (cpu_us() - cpu) / ours.requests as f64;
        let written = runtime.block_on(site.touches()) - before;
        assert!(written >= ours.requests as i64, "{} answered, {written} written", ours.requests);
        eprintln!(
            "{connections} connections, round {round}: nginx {:.0}/s, ours {:.0}/s (p99 {}), {cpu:.1} µs CPU each",
            control.per_second, ours.per_second, ours.p99
        );
        if round > 0 {
            rounds.push((ours.per_second / control.per_second, ours.per_second, control.per_second, cpu));
        }
    }
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, value, control, cpu) = rounds[rounds.len() / 2];
    println!(
        r#"{{"name":"tracking_pixel_{connections}","value":{value:.0},"control":{control:.0},"ratio":{ratio:.3},"bar":{RATIO_BAR},"pass":{},"cpu_us":{cpu:.1}}}"#,
        ratio >= RATIO_BAR
    );
}

/// Requests at a fixed pace from a thread of its own; one JSON line.
fn paced(name: &str, bar_ms: f64, address: SocketAddr, tokens: &[String], seconds: u32) {
    let requests: Vec<Arc<[u8]>> = tokens
        .iter()
        .map(|token| {
            format!("GET /o/{token}.gif HTTP/1.1\r\nHost: t\r\nUser-Agent: {AGENT}\r\n\r\n").into_bytes().into()
        })
        .collect();
    let load = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(pace(address, requests, seconds))
    });
    let mut late = load.join().expect("the paced client ends");
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    eprintln!("{} requests at {PACED_PER_SECOND}/s: p50 {:.2} ms, p99.9 {:.2} ms", late.len(), at(0.5), at(0.999));
    let p99 = at(0.99);
    println!(
        r#"{{"name":"{name}","value":{p99:.2},"control":null,"ratio":null,"bar":{bar_ms},"pass":{}}}"#,
        p99 <= bar_ms
    );
}

async fn pace(address: SocketAddr, requests: Vec<Arc<[u8]>>, seconds: u32) -> Vec<Duration> {
    const CONNECTIONS: u32 = 64;
    let begin = Instant::now() + Duration::from_millis(200);
    let gap = Duration::from_secs(1) * CONNECTIONS / PACED_PER_SECOND;
    let requests = Arc::new(requests);
    let hands = (0..CONNECTIONS).map(|hand| {
        let requests = requests.clone();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connect");
            stream.set_nodelay(true).expect("no delay");
            let (mut late, mut bytes) = (Vec::new(), [0; 1024]);
            let mut due = begin + gap * hand / CONNECTIONS;
            for n in 0.. {
                if due.duration_since(begin).as_secs() >= u64::from(seconds) {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                stream.write_all(&requests[(n * 64 + hand as usize) % requests.len()]).await.expect("ask");
                let mut seen = 0;
                // An answer ends with its picture's last byte, a semicolon.
                while seen == 0 || bytes[seen - 1] != b';' {
                    let n = stream.read(&mut bytes[seen..]).await.expect("an answer");
                    assert!(n > 0, "the connection was closed");
                    seen += n;
                }
                late.push(due.elapsed());
                due += gap;
            }
            late
        })
    });
    let hands: Vec<_> = hands.collect();
    let mut all = Vec::new();
    for hand in hands {
        all.extend(hand.await.expect("a connection's end"));
    }
    all
}

struct Site {
    db: Db,
    address: SocketAddr,
}

impl Site {
    async fn start(folder: &Path, keys: Arc<Keyring>) -> Site {
        let url = format!("sqlite://{}", folder.join("bench.db").display());
        let db = Db::open(&url, &OpenOptions::default()).await.expect("open the database");
        db.migrate().await.expect("migrate");
        let mut tx = db.begin(Lane::Bulk).await.expect("begin");
        const MESSAGES: &str = "with recursive n(i) as (select 1 union all select i + 1 from n where i < $1)
            insert into message (run_id, origin, member_id, provider_id, addr_key, template_version_id, state, sent_at_ms)
            select 1, i, i, 1, i, 1, 'sent', 0 from n";
        on!(tx.conn(), "write messages", c => sqlx::query(MESSAGES).bind(TOKENS).execute(&mut *c).await.map(|_| ()))
            .expect("write");
        tx.commit().await.expect("commit");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address");
        let metrics = Metrics::new();
        let (tracker, writer) = track::tracker(db.clone(), metrics.clone());
        // As the daemon does: it blocks.
        let here = tokio::runtime::Handle::current();
        std::thread::spawn(move || here.block_on(writer.run()));
        fold::fold(&db).await;
        let web_versions = WebVersions::new(
            db.clone(),
            Editions::new(db.clone(), Cares::embedded()),
            keys.clone(),
            Vec::new(),
            "http://t.example".to_owned(),
        );
        let state = PublicState {
            db: db.clone(),
            world: World::system(),
            keys,
            tracker,
            metrics,
            pages: Pages::new(),
            agents: Agents::new(),
            web_versions,
            proxies: TrustedProxies::default(),
            bounds: Bounds::default(),
            hooks: Hooks::none(),
            signup: None,
            shop: None,
        };
        tokio::spawn(public::serve(listener, state, CancellationToken::new()));
        Site { db, address }
    }

    async fn touches(&self) -> i64 {
        let mut reader = self.db.reader().await.expect("a reader");
        on!(reader.conn(), "count touches", c => sqlx::query_scalar("select count(*) from touch").fetch_one(&mut *c).await)
            .expect("count")
    }
}

struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    fn start(folder: &Path) -> Nginx {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let at = folder.canonicalize().expect("the folder");
        let at = at.display();
        let conf = format!(
            "worker_processes 2; daemon off; pid {at}/nginx.pid; error_log {at}/nginx.error;
             events {{ worker_connections 2048; }}
             http {{ access_log {at}/nginx.access; keepalive_requests 1000000000; client_body_temp_path {at}; proxy_temp_path {at};
               fastcgi_temp_path {at}; uwsgi_temp_path {at}; scgi_temp_path {at};
               server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ empty_gif; }} }} }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, conf).expect("write nginx.conf");
        let file = file.canonicalize().expect("the file");
        let child = Command::new("nginx").arg("-c").arg(file).stderr(Stdio::null()).spawn().expect("start nginx");
        let nginx = Nginx { child, port };
        let answers = |_: &i32| {
            std::thread::sleep(Duration::from_millis(50));
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        };
        assert!((0..100).any(|n| answers(&n)), "nginx did not start");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        let _ = self.child.wait();
    }
}

struct Run {
    per_second: f64,
    requests: u64,
    p99: String,
}

fn wrk(port: u16, connections: usize, seconds: u32, script: &Path) -> Run {
    let out = Command::new("wrk")
        .args(["-t2", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(script)
        .arg(format!("http://127.0.0.1:{port}"))
        .output()
        .expect("run wrk");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let word = |start: &str, n: usize| {
        let line = text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().nth(n).expect("a word").to_owned()
    };
    let requests = text.lines().find(|line| line.contains(" requests in ")).expect("a count of requests");
    Run {
        per_second: word("Requests/sec:", 1).parse().expect("a rate"),
        requests: requests.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a count"),
        p99: word("99%", 1),
    }
}

/// A script in which each of wrk's threads walks all tokens from a place of its own.
fn write_script(folder: &Path, paths: &[String]) -> std::path::PathBuf {
    let list = folder.join("tokens");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&list).expect("write tokens"));
    for path in paths {
        writeln!(file, "{path}").expect("write tokens");
    }
    drop(file);
    let script = folder.join("walk.lua");
    let list = list.canonicalize().expect("the list");
    let lua = format!(
        "local threads = 0\n\
         function setup(thread) thread:set('place', threads); threads = threads + 1 end\n\
         function init()\n\
           wrk.headers['User-Agent'] = '{AGENT}'\n\
           asks, at = {{}}, 0\n\
           for token in io.lines('{}') do asks[#asks + 1] = wrk.format('GET', '/o/' .. token .. '.gif') end\n\
           at = place * math.floor(#asks / 2)\n\
         end\n\
         function request() at = at % #asks + 1; return asks[at] end\n",
        list.display()
    );
    std::fs::write(&script, lua).expect("write the script");
    script
}

/// Processor time of this process so far, microseconds.
fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse().ok())
        .collect();
    // Clock ticks are hundredths of a second on every Linux we know.
    fields.iter().sum::<f64>() * 10_000.0
}
