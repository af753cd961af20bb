//! Whose mail servers stand behind a domain is asked of DNS: hosted domains are their host's, and what takes no mail is
//! never tried.

use serde_json::Value;

use crate::support::campaign::{Campaign, NAME, sections};
use crate::support::daemon::{Daemon, Home};
use crate::support::dns::Zone;
use crate::support::sink::Sink;

const PROVIDERS: &str = "[[provider]]\nname = \"host\"\ndomains = [\"host.zz\"]\nservers = [\"mx.host.zz\"]\n";

fn until_logged(home: &Home, daemon: &Daemon, what: &str) {
    // Every look is a process of its own: that is pause enough.
    let mut looks = (0..300).map(|_| home.run(&["shaping", "list"]));
    assert!(looks.any(|_| daemon.log_text().contains(what)), "never {what:?}:\n{}", daemon.log_text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosted_domain_is_its_hosts_and_one_without_mail_is_not_tried() {
    let sink = Sink::start().await;
    let zone = Zone::default()
        .mx("firm.zz", "in2.MX.host.zz")
        .mx("own.zz", "mail.own.zz")
        .mx("closed.zz", ".")
        .a("plain.zz", [127, 0, 0, 1]);
    let home = Home::new(&format!("{}[dns]\nservers = [\"{}\"]\n", sections(&sink), zone.serve()));
    home.write("providers.toml", PROVIDERS);
    let domains = ["firm.zz", "own.zz", "closed.zz", "plain.zz", "host.zz"];
    let people: Vec<String> = domains.iter().flat_map(|domain| (0..5).map(move |n| format!("m{n}@{domain}"))).collect();
    let campaign = Campaign::at(home, &people);
    let daemon = campaign.home.start();
    until_logged(&campaign.home, &daemon, "10 members have the provider that their mail servers say");
    let members = std::fs::read_to_string(campaign.home.path().join("members.csv")).expect("the members' file");
    campaign.home.write("members.csv", &format!("{}m9@firm.zz,Li,offers\n", members.replace("Anna", "Berta")));
    campaign.home.done(&["import", "members", "members.csv"]);
    campaign.home.done(&["shaping", "suspend", "host"]);
    campaign.start(None);
    let in_state = |shown: &Value, state: &str| shown["by_state"][state].as_u64();
    campaign.until(|shown| in_state(shown, "sent") == Some(10) && in_state(shown, "skipped") == Some(5));
    let shown = campaign.home.json(&["campaign", "show", NAME]);
    assert_eq!((&shown["reasons"]["null_mx"], &shown["slowed"][0]["provider"]), (&5.into(), &"host".into()), "{shown}");
    for domain in ["firm.zz", "host.zz", "closed.zz"] {
        assert_eq!(sink.taken_at(domain).len(), 0, "{domain}");
    }
    campaign.home.done(&["shaping", "resume", "host"]);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("skipped")), (21, 5));
    assert_eq!(sink.taken_at("firm.zz").len(), 6);
}
