//! The memory of `serve` while it sends a large campaign to an external sink, with 500 products.
//!
//! `cargo bench --bench memory`. Needs Debian's postfix (`smtp-sink`). What counts is VmHWM, the most memory the daemon
//! ever had resident: at the end, and how much it grew since a fifth of the mails was sent (the 200,000th of a
//! million). The control is the figure at that fifth. `INDICIA_BENCH_DIR` names the disk, `INDICIA_BENCH_MAILS` how
//! many mails (200,000; the full figure is of 1,000,000 and takes minutes).

#[expect(dead_code, reason = "shared with benchmarks that measure other things")]
mod common;
#[path = "common/shop.rs"]
mod shop;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{folder, indicia, number, serve, smtp_sink};
use serde_json::Value;

const CONNECTIONS: usize = 20;
/// The most the daemon may ever have resident, and how much that may grow after a fifth of the mails, MB of 10⁶ bytes.
const MOST_MB: f64 = 150.0;
const GROWTH_MB: f64 = 10.0;
/// How often the campaign is looked at.
const LOOK: Duration = Duration::from_millis(500);

fn main() {
    let mails = number("INDICIA_BENCH_MAILS", 200_000);
    let home = folder();
    let (_sink, port) = smtp_sink();
    shop::set_up(home.path(), mails, "sqlite://data/indicia.db", port, CONNECTIONS, "");
    let daemon = serve(home.path());
    let pid = daemon.0.id();
    eprintln!("before the campaign: {:.1} MB", resident_most_mb(pid));
    let began = Instant::now();
    indicia(home.path(), &["campaign", "start", "campaign.toml"]);
    let mut at_fifth = None;
    let mut told = 0;
    loop {
        let (sent, state) = stand(home.path());
        if sent >= mails / 5 {
            at_fifth.get_or_insert_with(|| resident_most_mb(pid));
        }
        if sent * 10 / mails > told {
            told = sent * 10 / mails;
            eprintln!("{sent} mails after {:.0} s: {:.1} MB", began.elapsed().as_secs_f64(), resident_most_mb(pid));
        }
        if state == "finished" {
            assert_eq!(sent, mails, "every mail was sent");
            break;
        }
        std::thread::sleep(LOOK);
    }
    let (value, control) = (resident_most_mb(pid), at_fifth.expect("a fifth was sent"));
    daemon.stop();
    println!(
        r#"{{"name":"memory_mb","value":{value:.1},"control":{control:.1},"ratio":{:.3},"bar":{MOST_MB},"pass":{},"grown_mb":{:.1},"grown_bar":{GROWTH_MB},"mails":{mails}}}"#,
        value / control,
        value <= MOST_MB && value - control <= GROWTH_MB,
        value - control
    );
}

/// How many mails are sent, and the campaign's state.
fn stand(home: &Path) -> (usize, String) {
    let shown: Value = serde_json::from_str(&indicia(home, &["campaign", "show", "bench", "--json"])).expect("JSON");
    let sent = shown["by_state"]["sent"].as_u64().unwrap_or(0) as usize;
    (sent, shown["state"].as_str().unwrap_or_default().to_owned())
}

/// The most memory a process ever had resident, MB of 10⁶ bytes.
fn resident_most_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib * 1024.0 / 1e6
}
