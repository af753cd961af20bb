//! An import that dies: what it committed is whole, and the same command again finishes the work.

use std::process::{Command, Stdio};

use indicia::store::{Conn, Db, OpenOptions};

use crate::support::daemon::Home;

const MEMBERS: i64 = 20_000;

async fn count(db: &Db, sql: &'static str) -> i64 {
    let mut reader = db.reader().await.unwrap();
    let Conn::Sqlite(c) = reader.conn() else { unreachable!("opened as SQLite") };
    sqlx::query_scalar(sql).fetch_one(c).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_leaves_whole_batches_and_runs_to_its_end_the_second_time() {
    let home = Home::new("");
    let mut text = String::from("email,external_id,topics,room\n");
    for n in 0..MEMBERS {
        text.push_str(&format!("m{n}@mail.example,x{n},offers,r{}\n", n % 9));
    }
    home.write("m.csv", &text);
    home.done(&["migrate"]);
    let url = format!("sqlite://{}", home.path().join("data/indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.unwrap();

    let mut import = Command::new(env!("CARGO_BIN_EXE_indicia"))
        .args(["import", "members", "m.csv"])
        .current_dir(home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while count(&db, "select count(*) from member").await < 500 {
        assert_eq!(import.try_wait().unwrap(), None, "the import ended before it could be killed");
    }
    import.kill().unwrap();
    import.wait().unwrap();

    let there = count(&db, "select count(*) from member").await;
    assert!((500..MEMBERS).contains(&there), "{there} members were in when it died");
    for whole in [
        "select count(*) from consent",
        "select count(*) from consent_log",
        "select count(*) from member_attribute",
        "select count(distinct member_id) from consent",
    ] {
        assert_eq!(count(&db, whole).await, there, "{whole}");
    }
    let again = home.json(&["import", "members", "m.csv"]);
    assert_eq!((again["unchanged"].as_i64(), again["inserted"].as_i64()), (Some(there), Some(MEMBERS - there)));
    assert_eq!(count(&db, "select count(*) from consent_log").await, MEMBERS);
}
