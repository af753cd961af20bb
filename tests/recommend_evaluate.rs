//! `indicia recommend evaluate`: reads any file of the import format, the same file and seed give the same figures.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::daemon::Home;

/// 40 members who buy `own-N` every month and `all` once; after October half of them buy `next` for the first time.
fn orders() -> String {
    let mut csv = "order_id,external_id,ordered_at,sku,quantity,price,currency\n".to_owned();
    for member in 0..40 {
        for month in 1..=11 {
            let _ = writeln!(csv, "o{member}-{month},m{member},2025-{month:02}-03T10:00:00Z,own-{member},1,5.00,EUR");
        }
        let _ = writeln!(csv, "a{member},m{member},2025-02-0{}T10:00:00Z,all,1,9.00,EUR", 1 + member % 9);
        if member % 2 == 0 {
            let _ = writeln!(csv, "n{member},m{member},2025-11-05T10:00:00Z,next,1,9.00,EUR");
        }
    }
    csv.push_str("n41,m41,2025-05-05T10:00:00Z,next,1,9.00,EUR\nbroken,m1,2025-05-05T10:00:00Z,x,none,9.00,EUR\n");
    csv
}

fn of<'a>(report: &'a Value, method: &str) -> &'a Value {
    report["methods"].as_array().unwrap().iter().find(|row| row["method"] == method).unwrap()
}

#[test]
fn what_comes_true_is_counted_by_facet_and_method() {
    let home = Home::new("");
    home.write("orders.csv", &orders());
    let ask = ["recommend", "evaluate", "orders.csv", "--split", "2025-10-01", "--k", "1"];
    let report = home.json(&ask);
    assert_eq!(report["members"], serde_json::json!({ "explore": 20, "repeat": 40, "total": 40 }));
    // Everybody bought `all`, and nobody buys it again; each goes on buying the own one.
    assert_eq!(of(&report, "popularity")["total"]["hit_rate"]["mean"], 0.0);
    assert_eq!(of(&report, "personal top")["total"]["hit_rate"]["mean"], 1.0);
    assert_eq!(of(&report, "TIFU-kNN")["repeat"]["ndcg"]["mean"], 1.0);
    assert_eq!(of(&report, "indicia")["total"]["hit_rate"]["mean"], 1.0, "learned from the file itself");
    assert_eq!(of(&report, "popularity")["indicia_beyond"]["total"]["hit_rate"]["low"], 1.0);
    assert_eq!(of(&report, "personal top")["coverage"].as_f64().map(|share| (share * 42.0).round()), Some(40.0));
    let said = home.done(&ask);
    assert!(
        said.stderr.contains("1 of 502 rows were left out; the first: orders.csv line 503: quantity"),
        "{}",
        said.stderr
    );
    assert_eq!(home.done(&ask).stdout, said.stdout, "the same seed, the same intervals");
    assert!(said.stdout.contains("explore (20 members)"), "{}", said.stdout);
}

/// 320 members of four tastes, of twelve products each, who buy a product they did not have every month.
fn tastes() -> String {
    let mut csv = "order_id,external_id,ordered_at,sku,quantity,price,currency\n".to_owned();
    for member in 0..320 {
        for month in 1..=8 {
            let (taste, nth) = (member % 4, (member / 4 * 5 + month * 7) % 12);
            let _ = writeln!(csv, "o{member}-{month},m{member},2025-0{month}-03T10:00:00Z,s{taste}-{nth},1,5.00,EUR");
        }
    }
    csv
}

#[test]
fn what_goes_together_is_foretold_though_nobody_bought_it_before() {
    let home = Home::new("");
    home.write("orders.csv", &tastes());
    let report = home.json(&["recommend", "evaluate", "orders.csv", "--split", "2025-07-01"]);
    for measure in ["hit_rate", "ndcg"] {
        let beyond = &of(&report, "popularity")["indicia_beyond"]["explore"][measure];
        assert!(beyond["low"].as_f64() > Some(0.1), "{measure}: {beyond}");
    }
}

#[test]
fn events_are_read_as_looks_and_purchases() {
    let home = Home::new("");
    let mut lines = String::new();
    for member in 0..20 {
        for (nth, (name, sku, day)) in [
            ("Product Viewed", "seen", "2025-03-01"),
            ("Order Completed", "first", "2025-03-02"),
            ("order completed", "seen", "2025-06-01"),
        ]
        .iter()
        .enumerate()
        {
            let _ = writeln!(
                lines,
                r#"{{"type":"track","event":"{name}","messageId":"{member}-{nth}","userId":"m{member}","timestamp":"{day}T00:00:00Z","properties":{{"sku":"{sku}","category":"a/b"}}}}"#
            );
        }
    }
    home.write("events.jsonl", &lines);
    let report = home.json(&["recommend", "evaluate", "events.jsonl", "--split", "2025-05-01"]);
    assert_eq!(report["members"], serde_json::json!({ "explore": 20, "repeat": 0, "total": 20 }));
    assert_eq!(report["products"], 1, "what was only looked at has no popularity");
}

#[test]
fn what_cannot_be_evaluated_is_said_with_the_fix() {
    let home = Home::new("");
    home.write("orders.csv", &orders());
    for (split, says) in [("soon", "is no date"), ("2030-01-01", "nobody in orders.csv")] {
        let refused = home.run(&["recommend", "evaluate", "orders.csv", "--split", split]);
        assert!(
            refused.code == 1 && refused.stderr.contains(says) && refused.stderr.contains("fix:"),
            "{}",
            refused.stderr
        );
    }
}
