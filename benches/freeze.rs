//! The freeze of a whole audience beside a bare `INSERT … SELECT` of the same columns into the same indexes.
//!
//! `cargo bench --bench freeze [-- postgres URL]`. Both write the rows of `message`; the table is emptied after each
//! measure. Ours also judges consent, suppression and the segment, draws variants, keeps the counts, and commits chunk
//! by chunk; the control is one statement in one transaction. Rounds alternate, the first is dropped, the median ratio
//! counts. `INDICIA_BENCH_DIR` names the disk, `INDICIA_BENCH_MEMBERS` how many members there are (200,000),
//! `INDICIA_BENCH_ROUNDS` how often (5).

#[expect(dead_code, reason = "shared with benchmarks that measure other things")]
mod common;
#[path = "common/fold.rs"]
mod fold;

use std::time::Instant;

use common::{Database, folder, median, number};
use indicia::base::World;
use indicia::domain::campaign::RunDoc;
use indicia::domain::message::RunState;
use indicia::flow::plan::{self, Terms};
use indicia::on;
use indicia::queue::enqueue::Manner;
use indicia::store::{Db, Lane, OpenOptions, run};

/// Ours over the control, rows per second.
const RATIO_BAR: f64 = 0.5;
const NOW_MS: i64 = 1_790_000_000_000;
const MEMBERS: &str = "with recursive n(i) as (select cast(1 as bigint) union all select i + 1 from n where i < $1)
    insert into member (email, addr_key, locale, provider_id, lot, points, created_at_ms, updated_at_ms)
    select 'member' || i || '@mail.example', i * 7919, 'en', 1 + i % 3, (i * 48271) % 2147483647, i % 5000, 0, 0 from n";
const CONSENTS: &str =
    "insert into consent (member_id, topic, state, at_ms) select id, 'offers', 'granted', 0 from member";
const CONTROL: &str = "insert into message
      (run_id, origin, member_id, provider_id, addr_key, variant, state, due_at_ms)
    select $1, m.id, m.id, m.provider_id, m.addr_key, 0, 'queued', 1790000000000 from member m order by m.id";
const DOC: &str = r#"{"class":"marketing","topic":"offers","sender":"s","segment":"points >= 0","holdout":0,"rate":null,
    "variants":[{"name":"a","template":"t","template_version_id":1,"share":1}],"campaign":""}"#;

fn main() {
    let members = number("INDICIA_BENCH_MEMBERS", 200_000);
    let rounds = number("INDICIA_BENCH_ROUNDS", 5);
    let postgres = std::env::args().skip_while(|word| word != "postgres").nth(1);
    let home = folder();
    let database = postgres.as_deref().map(Database::on);
    let url = match &database {
        Some(database) => database.url(),
        None => format!("sqlite://{}", home.path().join("bench.db").display()),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut all = Vec::new();
    runtime.block_on(async {
        let bench = Bench::start(&url, members).await;
        for round in 0..=rounds {
            let control = bench.control(-1 - round as i64).await;
            let ours = bench.freeze(round).await;
            eprintln!("round {round}: INSERT … SELECT {control:.0}/s, freeze {ours:.0}/s");
            if round > 0 {
                all.push((ours / control, ours, control));
            }
        }
    });
    let (ratio, value, control) = median(all, |round| round.0);
    let name = if postgres.is_some() { "freeze_postgres" } else { "freeze_sqlite" };
    println!(
        r#"{{"name":"{name}","value":{value:.0},"control":{control:.0},"ratio":{ratio:.3},"bar":{RATIO_BAR},"pass":{},"members":{members}}}"#,
        ratio >= RATIO_BAR
    );
}

struct Bench {
    db: Db,
    world: World,
    members: usize,
}

impl Bench {
    /// A database with members who all consented.
    async fn start(url: &str, members: usize) -> Bench {
        let db = Db::open(url, &OpenOptions::default()).await.expect("open the database");
        db.migrate().await.expect("migrate");
        fold::fold(&db).await;
        let bench = Bench { db, world: World::system(), members };
        bench.execute(MEMBERS, Some(members as i64)).await;
        bench.execute(CONSENTS, None).await;
        if !bench.is_sqlite() {
            bench.execute("analyze", None).await;
        }
        bench
    }

    /// Rows per second of the bare statement, its commit included.
    async fn control(&self, run: i64) -> f64 {
        let began = Instant::now();
        let rows = self.execute(CONTROL, Some(run)).await;
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(rows, self.members as u64);
        self.empty().await;
        rows as f64 / seconds
    }

    /// Rows per second of one campaign's freeze, from approved to sending.
    async fn freeze(&self, round: usize) -> f64 {
        let terms = Terms {
            epoch: 1,
            ttl_marketing_ms: i64::MAX / 2,
            ttl_transactional_ms: i64::MAX / 2,
            manner: Manner::default(),
        };
        let mut doc: RunDoc = serde_json::from_str(DOC).expect("a document");
        doc.campaign = format!("bench{round}");
        let mut tx = self.db.begin(Lane::Bulk).await.expect("begin");
        let created = run::create(tx.conn(), &doc, 7, NOW_MS, NOW_MS).await.expect("create");
        tx.commit().await.expect("commit");
        let id = created.expect("a fresh name");
        let began = Instant::now();
        let frozen = loop {
            plan::tick(&self.db, &self.world, &terms, &[]).await.expect("plan");
            let run = run::by_id(self.db.reader().await.expect("a reader").conn(), id).await.expect("ask");
            if let Some(run) = run.filter(|run| run.state == RunState::Sending) {
                break run.frozen_n;
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(frozen, Some(self.members as i64));
        self.execute("update run set state = 'cancelled' where id = $1", Some(id)).await;
        self.empty().await;
        self.members as f64 / seconds
    }

    /// Empties the queue as fast as either database can.
    async fn empty(&self) {
        self.execute(if self.is_sqlite() { "delete from message" } else { "truncate message" }, None).await;
    }

    fn is_sqlite(&self) -> bool {
        self.db.sqlite_path().is_some()
    }

    async fn execute(&self, sql: &'static str, bind: Option<i64>) -> u64 {
        let mut tx = self.db.begin(Lane::Bulk).await.expect("begin");
        let rows = on!(tx.conn(), "run a statement of the benchmark", c => match bind {
            Some(n) => sqlx::query(sql).bind(n).execute(&mut *c).await.map(|r| r.rows_affected()),
            None => sqlx::query(sql).execute(&mut *c).await.map(|r| r.rows_affected()),
        });
        tx.commit().await.expect("commit");
        rows.expect("the statement")
    }
}
