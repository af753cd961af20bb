//! A configuration with faults is refused with all of them, each with its place and its fix, and without secrets.

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::daemon::Home;

#[test]
fn every_fault_is_told_with_its_line_and_its_fix() {
    let home = Home::new(
        r#"
[retry]
bulk = ["5m", "soon"]

[[route]]
name = "out"
host = "smtp.example.com"
tls = "none"

[smtp]
timeout_dott = "10m"
"#,
    );
    let ran = home.run(&["migrate"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    for told in [
        "indicia.toml:7: retry.bulk holds \"soon\"",
        "indicia.toml:12: route[0].tls = \"none\" would send mail and password in the clear to smtp.example.com",
        "indicia.toml:15: smtp.timeout_dott is no known key\n  fix: did you mean timeout_dot?",
    ] {
        assert!(ran.stderr.contains(told), "no {told:?} in:\n{}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("fix:").count(), 3, "{}", ran.stderr);
    assert!(!home.path().join("data").exists(), "a refused configuration must not make a database");
}

#[test]
fn broken_syntax_does_not_hide_the_other_faults() {
    let home = Home::new("[database]\nsqlite_bytes_max = \"a lot\"\n[queue]\nbeat = = 5\n[disk]\nfree = 1\n");
    let ran = home.run(&["migrate"]);
    assert_eq!(ran.code, 1);
    for told in [
        "indicia.toml:6: database.sqlite_bytes_max is a text",
        "indicia.toml:8:",
        "indicia.toml:10: disk.free is no known key",
    ] {
        assert!(ran.stderr.contains(told), "no {told:?} in:\n{}", ran.stderr);
    }
}

#[test]
fn secrets_are_never_printed() {
    let mut home = Home::new(
        "[database]\nurl = \"mysql://anna:hunter2@db/x\"\n[[route]]\nname = \"a\"\nhost = \"h.example\"\n\
         username = \"u\"\npassword = \"hunter2\"\n[http2]\npassword = \"hunter2\" hunter2\n",
    );
    home.env("INDICIA__ROUTE__0__PASSWORD_TEXT", "hunter2");
    let ran = home.run(&["migrate"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("route[0].password is no known key\n  fix: did you mean password_file?"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("hunter2"), "a secret in:\n{}", ran.stderr);
}

#[test]
fn the_environment_overrides_and_is_named_in_its_faults() {
    let mut home = Home::new("[database]\nurl = \"sqlite://from-file.db\"\n");
    home.env("INDICIA__DATABASE__URL", "sqlite://from-env.db");
    home.done(&["migrate"]);
    assert!(home.path().join("from-env.db").exists() && !home.path().join("from-file.db").exists());
    home.env("INDICIA__HTTP__LISTEN", "8080");
    home.env("INDICIA__ROUTE__1__HOST", "h.example");
    let ran = home.run(&["migrate"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("environment INDICIA__HTTP__LISTEN: http.listen is not understood"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("INDICIA__ROUTE__1__HOST: route.1.host names place 1 of a list that has 0"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_missing_file_and_bad_usage_differ() {
    let home = Home::new("");
    let ran = home.run(&["migrate", "--config", "nowhere.toml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nowhere.toml: cannot be read") && ran.stderr.contains("--config"), "{}", ran.stderr);
    assert_eq!(home.run(&["migrat"]).code, 2);
    assert_eq!(home.run(&["--help"]).code, 0);
}

#[test]
fn the_pages_never_face_the_network() {
    let mut home = Home::new("");
    home.env("INDICIA__ADMIN__LISTEN", "0.0.0.0:8081");
    let ran = home.run(&["migrate"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no sign-in") && ran.stderr.contains("SSH tunnel"), "{}", ran.stderr);
}

#[test]
fn what_comes_from_a_pipe_is_read_once() {
    let home = Home::new("");
    let pipe = home.path().join("pipe.toml");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    // A second reading would hear of the second key alone. Who writes waits for a reader, in vain if all is well.
    std::thread::spawn(move || {
        for key in ["beta", "beet"] {
            std::fs::write(&pipe, format!("[queue]\n{key} = 1\n")).unwrap();
        }
    });
    let ran = home.run(&["--config", "pipe.toml", "serve"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("pipe.toml:2: queue.beta is no known key"), "{}", ran.stderr);
    assert!(!home.path().join("data").exists());
}
