//! What every command keeps to: exit codes, JSON alone on stdout, and no panic when nobody reads it.

use std::process::{Command, Stdio};

use sqlx::{Connection as _, SqliteConnection};

use crate::support::daemon::Home;

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = Home::new("");
    let mut child = Command::new(env!("CARGO_BIN_EXE_indicia"))
        .args(["check", "--json"])
        .current_dir(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the binary");
    drop(child.stdout.take());
    let out = child.wait_with_output().expect("wait for the binary");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn bad_usage_is_told_on_stderr_and_exits_2() {
    let home = Home::new("");
    for arguments in [&["campaing"][..], &["check", "--jsonn"], &[], &["migrate", "--log-format", "xml"]] {
        let ran = home.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
    assert!(!home.path().join("data").exists(), "bad usage must change nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_version_is_left_alone() {
    let home = Home::new("");
    home.done(&["migrate"]);
    let database = home.path().join("data/indicia.db");
    let mut lite = SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.unwrap();
    sqlx::query("insert into _sqlx_migrations values (99999, 'from the future', 0, true, x'00', 0)")
        .execute(&mut lite)
        .await
        .unwrap();
    lite.close().await.unwrap();
    let ran = home.run(&["template", "list"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("newer version"), "{}", ran.stderr);
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("newer version"), "{}", ran.stderr);
}
