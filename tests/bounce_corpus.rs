//! The corpus of returned mails: whom each names, what is made of it, and that nothing panics when it is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use indicia::domain::bounce::Rules;
use indicia::inbound::{Action, Kind, MAIL_BYTES_MAX, RECIPIENTS_MAX, Reader, Returned};
use proptest::prelude::*;

/// The corpus' folder, or `None` (said loudly) where it is not.
pub fn folder() -> Option<PathBuf> {
    let data = std::env::var_os("INDICIA_TEST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let folder = data.join("bounces");
    if !folder.join("expected.csv").exists() {
        eprintln!(
            "\n*** {} is missing (set INDICIA_TEST_DATA): the corpus of bounces was NOT read ***\n",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// What is expected of one recipient of one file.
#[derive(Debug, serde::Deserialize)]
struct Row {
    file: String,
    kind: String,
    recipient: String,
    hard: String,
    class: String,
    disputed: String,
    scored: String,
}

#[derive(Debug, Default)]
struct Score {
    files: usize,
    exact: usize,
    rows: usize,
    classed: usize,
    dead: usize,
    dead_rightly: usize,
}

/// The class of a row as the list of expectations words it.
fn class(read: &Returned, row: &Row, rules: &Rules) -> String {
    let one = read.recipients.iter().find(|one| one.address.eq_ignore_ascii_case(&row.recipient));
    match (read.kind, one) {
        (Kind::Arf, _) => "feedback".to_owned(),
        (Kind::AutoReply, _) if row.kind == "vacation" => "vacation".to_owned(),
        (Kind::Unknown | Kind::AutoReply, _) => "none".to_owned(),
        (_, Some(one)) if one.action == Action::Delivered => "delivered".to_owned(),
        (_, Some(one)) => one.judge(rules).class.to_string(),
        (_, None) => "missed".to_owned(),
    }
}

impl Score {
    fn add(&mut self, read: &Returned, rows: &[Row], rules: &Rules) {
        let lower = |address: &str| address.to_lowercase();
        let named: BTreeSet<String> = read.recipients.iter().map(|one| lower(&one.address)).collect();
        let expected: BTreeSet<String> =
            rows.iter().map(|row| lower(&row.recipient)).filter(|one| !one.is_empty()).collect();
        self.files += 1;
        self.exact += usize::from(named == expected);
        for row in rows.iter().filter(|row| row.scored == "1") {
            if row.disputed != "1" && !row.class.is_empty() {
                self.rows += 1;
                self.classed += usize::from(class(read, row, rules) == row.class);
            }
            let one = read.recipients.iter().find(|one| one.address.eq_ignore_ascii_case(&row.recipient));
            if one.is_some_and(|one| one.judge(rules).dead) && row.disputed != "1" && !row.hard.is_empty() {
                self.dead += 1;
                self.dead_rightly += usize::from(row.hard == "1");
            }
        }
    }
}

#[test]
fn the_corpus_is_read_as_well_as_it_must_be() {
    let Some(folder) = folder() else { return };
    let mut files: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in csv::Reader::from_path(folder.join("expected.csv")).expect("the expectations").deserialize() {
        let row: Row = row.expect("a row");
        files.entry(row.file.clone()).or_default().push(row);
    }
    let (reader, rules, mut score) = (Reader::default(), Rules::built_in(), Score::default());
    for (file, rows) in &files {
        let read = reader.read(&std::fs::read(folder.join(file)).expect("a mail of the corpus"));
        if rows.iter().any(|row| row.kind == "unknown" && row.scored == "1") {
            assert!(read.kind == Kind::Unknown, "{file} is ordinary mail, and was taken for {:?}", read);
        }
        if rows.iter().any(|row| row.scored == "1") {
            score.add(&read, rows, &rules);
        }
    }
    let share = |part: usize, of: usize| 100.0 * part as f64 / of as f64;
    let (addresses, classes, hard) =
        (share(score.exact, score.files), share(score.classed, score.rows), share(score.dead_rightly, score.dead));
    println!(
        "addresses {}/{} {addresses:.2} %  classes {}/{} {classes:.2} %  hard rightly {}/{} {hard:.2} %",
        score.exact, score.files, score.classed, score.rows, score.dead_rightly, score.dead
    );
    assert!(addresses >= 95.0 && classes >= 90.0 && hard >= 98.0, "{score:?}");
}

#[test]
fn damage_and_nonsense_do_no_harm() {
    let Some(folder) = folder() else { return };
    let (reader, rules) = (Reader::default(), Rules::built_in());
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chance = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    for group in ["sisimai", "flanker", "ordinary"] {
        for entry in std::fs::read_dir(folder.join(group)).expect("a folder of the corpus").flatten() {
            let mut mail = std::fs::read(entry.path()).expect("a mail of the corpus");
            for _ in 0..12 {
                let (at, other) = (chance(mail.len()), chance(mail.len()));
                match chance(4) {
                    0 if !mail.is_empty() => mail[at] = chance(256) as u8,
                    1 => mail.truncate(at.max(mail.len() / 2)),
                    2 if !mail.is_empty() => mail.swap(at, other),
                    _ => {
                        let piece = mail[at.min(other)..at.max(other).min(at.min(other) + 200)].to_vec();
                        mail.splice(at..at, piece);
                    }
                }
                let read = reader.read(&mail);
                assert!(read.recipients.iter().all(|one| one.address.contains('@')));
                assert!(read.recipients.iter().all(|one| !one.judge(&rules).class.as_str().is_empty()));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2_000), text in "(From|To|Content-Type|Subject|[a-z@<>;:= \\n-]{0,40}|\\PC{0,20}){0,30}") {
        let reader = Reader::default();
        for mail in [&bytes[..], text.as_bytes()] {
            prop_assert!(reader.read(mail).recipients.len() <= RECIPIENTS_MAX);
        }
    }
}

#[test]
fn bounds_hold_in_time() {
    let reader = Reader::default();
    let daemon = "From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n";
    let hostile = [
        format!("{daemon}{}", "<a@b.example>: gone\n".repeat(200_000)),
        format!("{daemon}{}", "@".repeat(2 * MAIL_BYTES_MAX)),
        format!("{daemon}{}", "a@".repeat(MAIL_BYTES_MAX)),
        format!("Subject: {}\n\nx", "=?a?q?b".repeat(200_000)),
        format!(
            "Content-Type: message/delivery-status\n\n{}",
            "Final-Recipient: rfc822; a@b.example\n\n".repeat(30_000)
        ),
        (0..200_000).map(|n| format!("Final-Recipient: rfc822; a{n}@b.example\nAction: failed\n\n")).collect(),
        format!("Content-Type: text/html\n\n{}", "<".repeat(MAIL_BYTES_MAX)),
        format!("{daemon}{}", "From: a\nTo: b\n".repeat(100_000)),
    ];
    for mail in hostile {
        assert!(reader.read(mail.as_bytes()).recipients.len() <= RECIPIENTS_MAX);
    }
}
