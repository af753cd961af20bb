//! Sending, every mail armed and settled, beside Postfix's `smtp-source` with the same mail ready-made.
//!
//! `cargo bench --bench sending [-- postgres URL] [signed rsa|ed25519|both]`. Needs Debian's postfix (`smtp-source`,
//! `smtp-sink`). Rounds of the control and ours alternate, each against a fresh default `smtp-sink` over 20
//! connections; the first round is dropped, the median ratio counts. Ours is taken from the run's start (before its
//! first claim) to its last settle. `INDICIA_BENCH_DIR` names the disk, `INDICIA_BENCH_MAILS` how many (20,000),
//! `INDICIA_BENCH_ROUNDS` how often (5). A signed run has no bar: the control signs nothing.

mod common;
#[path = "common/shop.rs"]
mod shop;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{Database, cpu_us, folder, indicia, median, number, serve, smtp_sink};
use serde_json::Value;

const CONNECTIONS: usize = 20;

fn main() {
    let mails = number("INDICIA_BENCH_MAILS", 20_000);
    let rounds = number("INDICIA_BENCH_ROUNDS", 5);
    let after = |name: &str| std::env::args().skip_while(|word| word != name).nth(1);
    let (postgres, signed) = (after("postgres"), after("signed"));
    let bar = if postgres.is_some() { 0.7 } else { 1.0 };
    let mut all = Vec::new();
    for round in 0..=rounds {
        let home = folder();
        let (ours, cpu, mail) = ours(home.path(), mails, postgres.as_deref(), signed.as_deref());
        let control = control(home.path(), mails, &mail);
        eprintln!(
            "round {round}: smtp-source {control:.0}/s, ours {ours:.0}/s, {cpu:.0} µs CPU per mail of {} bytes",
            mail.len()
        );
        if round > 0 {
            all.push((ours / control, ours, control, cpu));
        }
    }
    let (ratio, value, control, cpu) = median(all, |round| round.0);
    let name = if postgres.is_some() { "sending_postgres" } else { "sending_sqlite" };
    if let Some(signed) = signed {
        println!(
            r#"{{"name":"{name}","signed":"{signed}","value":{value:.0},"control":{control:.0},"ratio":{ratio:.3},"cpu_us":{cpu:.0}}}"#
        );
        return;
    }
    println!(
        r#"{{"name":"{name}","value":{value:.0},"control":{control:.0},"ratio":{ratio:.3},"bar":{bar},"pass":{},"cpu_us":{cpu:.0}}}"#,
        ratio >= bar
    );
}

/// Mails per second and CPU per mail of one campaign, and one of its mails.
fn ours(home: &Path, mails: usize, postgres: Option<&str>, signed: Option<&str>) -> (f64, f64, Vec<u8>) {
    let (_sink, port) = smtp_sink();
    let database = postgres.map(Database::on);
    let url = database.as_ref().map_or_else(|| "sqlite://data/indicia.db".to_owned(), Database::url);
    shop::set_up(home, mails, &url, port, CONNECTIONS, &keys(home, signed));
    let mail =
        indicia(home, &["template", "render", "bench", "--member", "member7@post.example", "--eml"]).into_bytes();
    assert!(mail.len().abs_diff(35_000) <= 1_750, "the mail has {} bytes: shop::PARAGRAPHS wants changing", mail.len());
    let daemon = serve(home);
    let pid = daemon.0.id();
    indicia(home, &["campaign", "start", "campaign.toml"]);
    let show =
        || -> Value { serde_json::from_str(&indicia(home, &["campaign", "show", "bench", "--json"])).expect("JSON") };
    while !show()["started_at_ms"].is_i64() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let before = cpu_us(pid);
    // One process that waits: each look by one of its own would cost a tenth of the machine.
    indicia(home, &["campaign", "wait", "bench"]);
    let report = show();
    let cpu = (cpu_us(pid) - before) / mails as f64;
    assert_eq!(report["by_state"]["sent"], mails as i64, "{report}");
    let seconds = (last_settle(home, database.as_ref().map(Database::url))
        - report["started_at_ms"].as_i64().expect("started")) as f64
        / 1e3;
    daemon.stop();
    (mails as f64 / seconds, cpu, mail)
}

/// Signing keys of `signed` ("rsa", "ed25519" or "both") made into `home`, and the configuration that names them.
fn keys(home: &Path, signed: Option<&str>) -> String {
    let names: &[&str] = match signed {
        None => &[],
        Some("both") => &["rsa", "ed25519"],
        Some("rsa") => &["rsa"],
        Some("ed25519") => &["ed25519"],
        Some(other) => panic!("signed {other}: say rsa, ed25519 or both"),
    };
    let key = |name: &&str| {
        let file = format!("{name}.pem");
        let mut make = Command::new("openssl");
        make.args(["genpkey", "-quiet", "-algorithm", name, "-out", &file]).current_dir(home);
        assert!(make.status().is_ok_and(|status| status.success()), "openssl made no key");
        format!("[[dkim]]\ndomain = \"brand.example\"\nselector = \"{name}\"\nkey_file = \"{file}\"\n")
    };
    names.iter().map(key).collect()
}

/// When the last mail was settled, unix milliseconds, read from the messages.
fn last_settle(home: &Path, postgres: Option<String>) -> i64 {
    use indicia::store::{Db, OpenOptions};
    let url = postgres.unwrap_or_else(|| format!("sqlite://{}", home.join("data/indicia.db").display()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = Db::open(&url, &OpenOptions::default()).await.expect("open");
        let mut reader = db.reader().await.expect("a reader");
        indicia::on!(reader.conn(), "read the last settle", c =>
            sqlx::query_scalar("select max(sent_at_ms) from message").fetch_one(&mut *c).await)
        .expect("sent")
    })
}

/// Mails per second of `smtp-source` with the mail in a file.
fn control(home: &Path, mails: usize, mail: &[u8]) -> f64 {
    let (_sink, port) = smtp_sink();
    let text: Vec<u8> = mail.iter().copied().filter(|byte| *byte != b'\r').collect();
    std::fs::write(home.join("mail.eml"), text).expect("write");
    let began = Instant::now();
    let done = Command::new("smtp-source")
        .args(["-d", "-s", &CONNECTIONS.to_string(), "-m", &mails.to_string(), "-F", "mail.eml"])
        .args(["-f", "offers@news.brand.example", "-t", "member@mail.example", &format!("127.0.0.1:{port}")])
        .current_dir(home)
        .status()
        .expect("smtp-source");
    assert!(done.success(), "smtp-source failed");
    mails as f64 / began.elapsed().as_secs_f64()
}
