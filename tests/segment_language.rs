//! The segment language by itself: what it reads, what it prints, what it says of mistakes.

use indicia::domain::segment::{BYTES_MAX, NODES_MAX, OPERATORS_MAX, Segment, parse};
use proptest::prelude::*;

use crate::support::segments;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_printed_reads_the_same(seed in any::<u64>()) {
        let segment = segments::segment(seed);
        let text = segment.to_string();
        prop_assert_eq!(parse(&text).map_err(|error| error.to_string()), Ok(segment.clone()), "{}", text);
        prop_assert_eq!(Segment::from_json(&segment.to_json()).map_err(|error| error.to_string()), Ok(segment));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}", at in 0usize..200, cut in 0usize..200, seed in any::<u64>()) {
        let _ = parse(&text);
        let mut broken = segments::segment(seed).to_string();
        let at = (0..=at.min(broken.len())).rev().find(|at| broken.is_char_boundary(*at)).unwrap_or(0);
        let end = (at..=broken.len().min(at + cut)).rev().find(|end| broken.is_char_boundary(*end)).unwrap_or(at);
        broken.replace_range(at..end, &text);
        if let Err(error) = parse(&broken) {
            prop_assert!(error.line >= 1 && error.column >= 1, "{}", error);
        }
    }
}

#[test]
fn white_space_letter_case_and_brackets_do_not_change_the_meaning() {
    let plain = parse("points >= 500 and not (orders = 0 or market is set)").unwrap();
    let odd = parse(" points>=500\n\tAND NOT((orders=0)OR(market IS SET)) ").unwrap();
    assert_eq!(plain, odd);
    assert_eq!(plain.to_string(), "points >= 500 and not (orders = 0 or market is set)");
    assert_eq!(parse("points not in [1,2]").unwrap().to_string(), "points not in [1, 2]");
    assert_eq!(parse("did(\"product viewed\")").unwrap().to_string(), "did(\"Product Viewed\")");
    let sum = "(points - (orders + 1)) * 2 / 3 >= -1";
    assert_eq!(parse(sum).unwrap().to_string(), sum);
}

#[test]
fn the_json_form_is_plain() {
    let segment = parse("points >= 500 and viewed(category: \"kitchen\", last: 30d)").unwrap();
    let wanted = serde_json::json!({"and": [
        {"compare": {"left": {"field": "points"}, "op": ">=", "right": {"number": 500.0}}},
        {"product": {"act": "viewed", "category": "kitchen", "window": {"last": {"n": 30, "unit": "d"}}, "not_bought": false}},
    ]});
    assert_eq!(serde_json::from_str::<serde_json::Value>(&segment.to_json()).unwrap(), wanted);
    let error = Segment::from_json(r#"{"compare": {"left": {"field": "points"}, "op": ">=", "right": {"text": "x"}}}"#);
    assert!(error.unwrap_err().to_string().contains("a number does not compare with a text"));
    assert!(Segment::from_json("{\"nonsense\": 1}").unwrap_err().to_string().contains("nonsense"));
}

#[test]
fn a_typo_is_told_with_its_place_and_the_nearest_name() {
    let error = parse("orders >= 2\nand pionts >= 500").unwrap_err();
    assert_eq!((error.line, error.column), (2, 5));
    assert_eq!(
        error.to_string(),
        "2:5: `pionts` is not a field; did you mean `points`?\n  and pionts >= 500\n      ^^^^^^"
    );
}

#[test]
fn every_mistake_has_its_own_words() {
    for (text, place, wanted) in [
        ("", "1:1", "`true` for everybody"),
        ("points >= ", "1:11", "found the end"),
        ("points", "1:1", "compare it with something"),
        ("points >= 5 adn orders = 1", "1:13", "did you mean `and`?"),
        ("points = 1 = 2", "1:12", "conditions do not compare"),
        ("(points = 1", "1:12", "expected `)`"),
        ("points = 1)", "1:11", "no bracket is open"),
        ("tga(\"x\") >= 1", "1:1", "did you mean `tag`?"),
        ("tag(\"x\")", "1:1", "compare it"),
        ("tag(\"x\") = 1", "1:1", "use `>=`"),
        ("tag(\"x\") >= points", "1:13", "a plain number"),
        ("tag(x) >= 1", "1:5", "in double quotes"),
        ("opened(lats: 5d)", "1:8", "did you mean `last:`?"),
        ("opened(last: 5)", "1:14", "expected a duration"),
        ("opened(last: 5x)", "1:14", "`x` is not a unit of time"),
        ("opened(last: 5d, since: now())", "1:25", "not both"),
        ("opened(last: 5d, last: 6d)", "1:18", "given twice"),
        ("opened(5d)", "1:8", "by name: campaign:, last:, since:"),
        ("bucket(salt: \"a\") < 10", "1:21", "write a percentage, as in `10%`"),
        ("points >= 10%", "1:11", "without `%`"),
        ("last_order_at < 365d", "1:17", "`now() - 90d`"),
        ("last_order_at < \"2026-01-01\"", "1:17", "date(\"2026-06-18\")"),
        ("last_order_at < date(\"2026-13-01\")", "1:22", "expected a date"),
        ("market < \"x\"", "1:10", "no order"),
        ("market = \"\"", "1:10", "`is not set`"),
        ("market = 'x'", "1:10", "straight double quotes"),
        ("market = \"x", "1:10", "never closed"),
        ("points in 5", "1:11", "a list in brackets"),
        ("points in [\"a\"]", "1:12", "does not compare"),
        ("consent(\"Offers\")", "1:9", "lower-case letters"),
        ("consent(\"offers\") = true", "1:1", "is a condition by itself"),
        ("points()", "1:1", "is a field, not a function"),
        ("reachable", "1:1", "is a function"),
        ("attr >= 5", "1:1", "attr.city"),
        ("points + now() > 1", "1:1", "does not join"),
        ("points && orders", "1:8", "`and`, `or` and `not`"),
        ("points >= 99999999999999999999", "1:11", "a number is 0 or between"),
        ("sum(\"Order Completed\") > 1", "1:1", "of: value"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("{place}: ")) && error.contains(wanted), "{text:?} says\n{error}");
    }
}

/// Those of the fifteen segments of the business cases that wait for later tables; the others are tried on members.
#[test]
fn names_of_later_versions_say_so() {
    for (text, name) in [
        ("tier is set and (did(\"Points Earned\", last:365d) or did(\"Points Redeemed\", last:365d))", "tier"),
        ("owns(category:\"fridge\", older_than:9y) and not bought(category:\"fridge\", last:2y)", "owns"),
        ("bought(category:\"fridge\", last:180d) and not owns(category:\"range-hood\")", "owns"),
        ("tag(\"brand:casarte\") >= 1 or price_band >= 4", "price_band"),
        ("age() between 18 and 30 and not tag(\"brand:casarte\") >= 1", "age"),
        ("identifier(\"tmall\") is set and not consent(\"news\") and email is set", "identifier"),
        ("profile_level < 1 and reachable()", "profile_level"),
        ("referrals(state:\"qualified\") >= 1", "referrals"),
        ("answer(\"csat\", last:180d) = 5 and orders >= 2 and referrals() = 0", "answer"),
        ("answer(\"csat\", last:30d) <= 2", "answer"),
        ("rfm = \"champions\"", "rfm"),
        ("opened(block: \"hero\")", "block:"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(&format!("`{name}` is not yet known in this version")), "{text:?} says\n{error}");
    }
}

#[test]
fn everything_is_bounded() {
    let refused = |text: String, wanted: &str| {
        let error = parse(&text).expect_err("above the bound").to_string();
        assert!(error.contains(wanted) && error.len() < 1000, "{error}");
    };
    refused(format!("market = \"{}\"", "x".repeat(BYTES_MAX)), "bytes long");
    refused(format!("points in [{}]", vec!["1"; NODES_MAX + 1].join(",")), "at most 500 parts");
    refused(format!("{}points = 1", "(".repeat(5000)), "nested deeper");
    refused(format!("{} true", "not ".repeat(3000)), "nested deeper");
    refused(format!("points{} > 1", " + 1".repeat(OPERATORS_MAX + 1)), "operators in one sum");
    assert!(parse(&vec!["points = 1"; 120].join(" or ")).is_ok());
}
