//! Refusals are judged by rules: what is dead is never mailed again, what is only too fast is tried again, and the
//! rules may change under a running daemon.

use serde_json::Value;

use crate::support::campaign::{Campaign, people};
use crate::support::sink::{At, Fault, Sink};

/// Refuses whoever's address holds `part` with `line` at RCPT.
fn refuse(sink: &Sink, part: &str, line: &str) {
    sink.script(Fault::say(At::Rcpt, line).to(part));
}

fn suppressions(campaign: &Campaign, email: &str) -> Vec<Value> {
    let shown = campaign.home.json(&["member", "show", email]);
    shown["suppressions"].as_array().expect("a list of suppressions").clone()
}

fn class(campaign: &Campaign, email: &str) -> String {
    let list = campaign.home.done(&["message", "list", "--campaign", "survival", "--json"]).stdout;
    let row = list.lines().find(|line| line.contains(email)).expect("the member's message");
    let row: Value = serde_json::from_str(row).expect("a line is an object");
    let shown = campaign.home.json(&["message", "show", &row["id"].to_string()]);
    shown["attempts"][0]["class"].as_str().unwrap_or_else(|| panic!("no class in {shown}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_is_not_full_and_not_too_fast() {
    let sink = Sink::start().await;
    refuse(&sink, "dead@", "550 5.1.1 no such user here");
    refuse(&sink, "full@", "552 5.2.2 mailbox full");
    refuse(&sink, "shut@", "550 5.2.1 the account is disabled");
    refuse(&sink, "unwanted@", "554 5.7.1 message rejected as spam");
    sink.script(Fault::say(At::Rcpt, "550 Sender frequency limited").to("@qq.com").once_per_recipient());
    let mut everybody = people(20);
    let named = ["dead@post.example", "full@post.example", "shut@post.example", "unwanted@post.example", "anna@qq.com"];
    everybody.extend(named.map(str::to_owned));
    let campaign = Campaign::new(&sink, &everybody, &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("bounced")), (21, 4), "a rate limit behind a 550 is tried again");
    let dead = suppressions(&campaign, "dead@post.example");
    assert_eq!((dead.len(), dead[0]["reason"].as_str()), (1, Some("hard_bounce")), "{dead:?}");
    for email in ["full@post.example", "shut@post.example", "unwanted@post.example", "anna@qq.com"] {
        assert_eq!(suppressions(&campaign, email), [] as [Value; 0], "{email}");
    }
    let classes = named.map(|email| class(&campaign, email));
    assert_eq!(classes, ["invalid_address", "mailbox_full", "mailbox_disabled", "spam", "rate_limited"]);
    assert_eq!(daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_change_under_a_running_daemon() {
    let sink = Sink::start().await;
    refuse(&sink, "odd", "550 the moon is full");
    let campaign = Campaign::new(&sink, &people(3), &[("RULES__REPLIES", "replies.toml")]);
    let rules = |phrase: &str| {
        let text = format!(
            "[class.invalid_address]\ndead = true\nafter = 1\n[[phrase]]\nclass = \"invalid_address\"\nany = [\"{phrase}\"]\n"
        );
        campaign.home.write("replies.toml", &text);
    };
    rules("nothing like it");
    let daemon = campaign.home.start();
    campaign.home.write("more.csv", "email,topics\nodd@post.example,offers\n");
    campaign.home.done(&["import", "members", "more.csv"]);
    rules("the moon is");
    let noticed = (0..2_000).any(|_| {
        // Every look is a process of its own: that is pause enough.
        campaign.home.done(&["template", "list"]);
        daemon.log_text().contains("read the rules for replies again")
    });
    assert!(noticed, "{}", daemon.log_text());
    campaign.start(None);
    campaign.finished(&sink, &daemon);
    assert_eq!(suppressions(&campaign, "odd@post.example").len(), 1, "the new phrase counts");
    campaign.home.write("replies.toml", "[[phrase]]\nclass = \"nonsense\"\nany = [\"x\"]\n");
    let checked = campaign.home.run(&["check", "--json"]);
    assert_eq!(checked.code, 1, "{}", checked.stdout);
    assert!(checked.stdout.contains("nonsense") && checked.stdout.contains("replies.toml:2"), "{}", checked.stdout);
}
