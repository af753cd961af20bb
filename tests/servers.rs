//! Whose mail servers stand behind a domain is asked of DNS: hosted domains are their host's, and what takes no mail is
//! never tried.

use indicia::store::{Db, OpenOptions};
use serde_json::Value;

use crate::support::campaign::{Campaign, NAME, sections};
use crate::support::daemon::{Daemon, Home};
use crate::support::dns::Zone;
use crate::support::sink::{Setup, Sink};
use crate::support::site::number;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_server_that_nobody_lists_is_slowed_alone() {
    const LIMIT: (&str, f64) = ("large.zz", 20.0);
    let sink = Sink::with(Setup { limits: &[LIMIT], ..Setup::default() }).await;
    // Two domains of one server, neither of which is large by itself, and one that is small.
    let zone =
        Zone::default().mx("large.zz", "MX1.large.zz").mx("also.zz", "mx1.large.zz").mx("small.zz", "mx.small.zz");
    let dns = format!("{}[dns]\nservers = [\"{}\"]\nown_from = 100\n", sections(&sink), zone.serve());
    let home = Home::new(&dns);
    home.write("providers.toml", &format!("[throttle]\npauses_s = [1, 2]\nstep_s = 3\n{PROVIDERS}"));
    let of = [("large.zz", 90), ("also.zz", 20), ("small.zz", 60)];
    let people: Vec<String> =
        of.iter().flat_map(|(domain, n)| (0..*n).map(move |n| format!("m{n}@{domain}"))).collect();
    let campaign = Campaign::at(home, &people);
    let daemon = campaign.home.start();
    until_logged(&campaign.home, &daemon, "110 members have the provider that their mail servers say");
    assert!(daemon.log_text().contains("mx1.large.zz has many members"), "{}", daemon.log_text());
    campaign.start(None);
    campaign.until(|shown| shown["slowed"][0]["provider"] == "mx1.large.zz");
    campaign.finished(&sink, &daemon).all_sent(people.len());
    let refused = sink.traffic(LIMIT.0).refused;
    assert!((1..30).contains(&refused), "{refused} were refused:\n{}", daemon.log_text());
    assert!(!daemon.log_text().contains("other says that we are too fast"), "{}", daemon.log_text());
    // Whoever comes later is where the others are, and a person may name it.
    campaign.home.write("members.csv", "email,topics\nnew@also.zz,offers\nnew@small.zz,offers\n");
    campaign.home.done(&["import", "members", "members.csv"]);
    campaign.home.done(&["shaping", "suspend", "mx1.large.zz"]);
    assert_eq!(campaign.home.run(&["shaping", "suspend", "mx.small.zz"]).code, 1);
    assert_eq!(daemon.stop(), 0);
    let url = format!("sqlite://{}", campaign.home.path().join("data/indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.expect("open the database");
    let at = "select count(*) from member m join provider p on p.id = m.provider_id where p.name = 'mx1.large.zz'";
    assert_eq!(number(&db, at).await, 111);
}
