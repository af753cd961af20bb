//! A whole campaign over the real binary against a sink, and its accounts compared with what the sink took.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::Value;

use super::daemon::{Daemon, Home};
use super::sink::Sink;

/// The name of every campaign here.
pub const NAME: &str = "survival";
/// Longest wait for its end, seconds.
const PATIENCE: &str = "120";
/// Words of the template, changed by [`Campaign::push`].
const HELLO: &str = "Hello";

/// A home with members and a template; what it sends goes to one sink.
pub struct Campaign {
    pub home: Home,
}

/// Where a campaign stands, as it says itself.
#[derive(Debug)]
pub struct Accounts {
    pub report: Value,
    by_state: BTreeMap<String, usize>,
}

/// Addresses at several providers.
pub fn people(n: usize) -> Vec<String> {
    let domains = ["mail.example", "post.example", "letters.example"];
    (0..n).map(|n| format!("m{n}@{}", domains[n % domains.len()])).collect()
}

/// The configuration of a daemon that sends to `sink`: short waits everywhere, but none of those that leave a mail in
/// doubt on a slow machine.
pub fn sections(sink: &Sink) -> String {
    format!(
        r#"
[[sender]]
name = "offers"
from = "Example Shop <offers@shop.example>"
postal_address = "Example Shop, 1 Market Street, Springfield"
[[route]]
name = "out"
host = "127.0.0.1"
port = {}
tls = "none"
connections = 4
hello_name = "test.example"
[retry]
bulk = ["100ms", "200ms"]
[queue]
beat = "100ms"
dead_after = "1500ms"
poll = "20ms"
claim_batch_max = 50
[smtp]
timeout_connect = "5s"
[rules]
shaping = "providers.toml"
"#,
        sink.port()
    )
}

impl Campaign {
    /// A campaign on SQLite. `settings` are keys of the configuration in the form of the environment, such as
    /// `("RETRY__TRIES_MAX", "3")`.
    pub fn new(sink: &Sink, people: &[String], settings: &[(&str, &str)]) -> Campaign {
        let mut home = Home::new(&sections(sink));
        for (key, value) in settings {
            home.env(&format!("INDICIA__{key}"), value);
        }
        Campaign::at(home, people)
    }

    /// A campaign in a home whose configuration is [`sections`].
    pub fn at(home: Home, people: &[String]) -> Campaign {
        write_providers(&home);
        let mut members = "email,first_name,topics\n".to_owned();
        for email in people {
            let _ = writeln!(members, "{email},Anna,offers");
        }
        home.write("members.csv", &members);
        home.done(&["migrate"]);
        home.done(&["import", "members", "members.csv"]);
        let campaign = Campaign { home };
        campaign.push(HELLO);
        campaign
    }

    /// Publishes the template with this word in its subject and text.
    pub fn push(&self, hello: &str) {
        let write = |name: &str, text: &str| drop(self.home.write(&format!("templates/plain/{name}"), text));
        write("template.toml", "class = \"marketing\"\ntopic = \"offers\"\ndefault_locale = \"en\"\n");
        write("en.toml", &format!("subject = \"{hello}\"\npreheader = \"News\"\n"));
        let html = "<html><body><p>HELLO {{ member.first_name }}</p>\
                    <p><a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></p></body></html>\n";
        write("en.html", &html.replace("HELLO", hello));
        self.home.done(&["template", "push", "templates"]);
    }

    /// Starts the campaign, at `rate` mails per second where one is given.
    pub fn start(&self, rate: Option<f64>) {
        let rate = rate.map_or(String::new(), |rate| format!("rate = {rate:?}\n"));
        let file =
            format!("name = \"{NAME}\"\ntemplate = \"plain\"\nsegment = 'email is set'\nsender = \"offers\"\n{rate}");
        self.home.write("campaign.toml", &file);
        self.home.done(&["campaign", "start", "campaign.toml"]);
    }

    /// The state the campaign is in.
    pub fn state(&self) -> String {
        self.home.json(&["campaign", "show", NAME])["state"].as_str().expect("a state").to_owned()
    }

    /// Asks until the campaign's report satisfies `enough`.
    pub fn until(&self, enough: impl Fn(&Value) -> bool) {
        // Every look is a process of its own: that is pause enough.
        let looks = (0..2_000).map(|_| self.home.json(&["campaign", "show", NAME]));
        let mut last = Value::Null;
        for shown in looks {
            if enough(&shown) {
                return;
            }
            last = shown;
        }
        panic!("it never came so far: {last}");
    }

    /// Waits until the campaign is over, and compares its accounts with the sink's.
    pub fn finished(&self, sink: &Sink, daemon: &Daemon) -> Accounts {
        let ran = self.home.run(&["campaign", "wait", NAME, "--timeout", PATIENCE, "--json"]);
        assert!([0, 3].contains(&ran.code), "{}\n{}", ran.stderr, daemon.log_text());
        let accounts = self.accounts(sink);
        assert!(!daemon.log_text().contains("do not agree with the rows"), "{}", daemon.log_text());
        let short = accounts.n("failed") + accounts.n("in_doubt") > 0;
        assert_eq!(ran.code, if short { 3 } else { 0 }, "the exit code tells of failed and doubtful mails");
        accounts
    }

    /// Compares where every member stands with what the sink took: what is sent was taken once, what is in doubt once
    /// or never, and nothing else at all. Only for a campaign at rest.
    pub fn accounts(&self, sink: &Sink) -> Accounts {
        let report = self.home.json(&["campaign", "report", NAME]);
        let states = self.states();
        let taken = sink.by_recipient();
        for (email, times) in &taken {
            let state = states.get(email).unwrap_or_else(|| panic!("{email} is no member"));
            assert!(["sent", "in_doubt"].contains(&state.as_str()), "{email} is {state}, and the sink took a mail");
            assert_eq!(*times, 1, "{email} got {times} mails");
        }
        for (email, state) in &states {
            assert!(state != "sent" || taken.contains_key(email), "{email} is sent, and the sink took nothing");
        }
        assert_eq!(sink.by_message_id().len(), sink.count(), "every mail has a Message-ID of its own");
        let mut by_state: BTreeMap<String, usize> = BTreeMap::new();
        for state in states.values() {
            *by_state.entry(state.clone()).or_default() += 1;
        }
        let accounts = Accounts { report, by_state };
        accounts.agree();
        accounts
    }

    /// Every member's state, as the messages are listed.
    fn states(&self) -> HashMap<String, String> {
        let list = self.home.done(&["message", "list", "--campaign", NAME, "--json"]).stdout;
        let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
        let mut states = HashMap::new();
        for line in list.lines() {
            let row: Value = serde_json::from_str(line).expect("a line is an object");
            let other = states.insert(text(&row, "email"), text(&row, "state"));
            assert_eq!(other, None, "two messages to one member: {line}");
        }
        states
    }
}

/// Members that a 451 at `step` (as the sink names it) puts off once, and those it puts off for ever.
const GREYLISTED: usize = 60;
const HOPELESS: usize = 5;

/// A campaign to fifty plain members and to those, its end, and its accounts: the former have their mail, the latter
/// are given up after three tries.
pub async fn put_off(step: &str) -> Accounts {
    let sink = Sink::start().await;
    let mut everybody = people(50);
    everybody.extend((0..GREYLISTED).map(|n| format!("g{n}+{step}-grey@post.example")));
    everybody.extend((0..HOPELESS).map(|n| format!("h{n}+{step}-451@mail.example")));
    let campaign = Campaign::new(&sink, &everybody, &[("RETRY__TRIES_MAX", "3")]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("failed")), (50 + GREYLISTED, HOPELESS));
    assert_eq!(accounts.because("given_up"), HOPELESS as u64);
    accounts
}

/// Providers of two of the three domains, so that a campaign has several lanes. Where it is told to slow down, the
/// daemon waits for a moment only.
pub fn write_providers(home: &Home) {
    if home.path().join("providers.toml").exists() {
        return;
    }
    home.write(
        "providers.toml",
        "[throttle]\npauses_s = [0.2, 0.5]\nstep_s = 1.0\n\
         [[provider]]\nname = \"mail\"\ndomains = [\"mail.example\"]\n\
         [[provider]]\nname = \"post\"\ndomains = [\"post.example\"]\n",
    );
}

impl Accounts {
    /// How many messages are in a state.
    pub fn n(&self, state: &str) -> usize {
        self.by_state.get(state).copied().unwrap_or(0)
    }

    /// How many messages ended for a reason.
    pub fn because(&self, reason: &str) -> u64 {
        self.report["reasons"][reason].as_u64().unwrap_or(0)
    }

    /// The kept counts say what the rows say.
    fn agree(&self) {
        let told = self.report["by_state"].as_object().expect("counts by state");
        for (state, n) in told {
            assert_eq!(n.as_u64(), Some(self.n(state) as u64), "{state} in {}", self.report);
        }
        let sum: usize = self.by_state.values().sum();
        assert_eq!(self.report["frozen"].as_u64(), Some(sum as u64), "{}", self.report);
        let doubts = self.report["in_doubt"].as_array().expect("a list of doubts");
        assert_eq!(doubts.len(), self.n("in_doubt").min(10_000), "each doubt is listed");
    }

    /// Everybody has the mail.
    pub fn all_sent(&self, members: usize) {
        assert_eq!((self.n("sent"), self.by_state.len()), (members, 1), "{:?}", self.by_state);
    }
}
