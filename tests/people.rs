//! People and machines told apart: on actors of known truth, and through a daemon.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use std::net::SocketAddr;
use std::sync::Arc;

use indicia::domain::people::{Evidence, HIDDEN_SLOT, judge, network};
use indicia::domain::tagging::Rules;
use indicia::domain::touch::{Agents, TouchClass, TouchKind};
use indicia::flow::classify::{self, Done};
use indicia::flow::learn;
use indicia::store::touch::{self, Touch};
use indicia::store::{Db, Lane, OpenOptions, tag};
use mail_parser::MessageParser;

use crate::both_dbs;
use crate::support::actors::{Actor, Hit, Target, Truth, play};
use crate::support::campaign::{Campaign, sections, write_providers};
use crate::support::daemon::Home;
use crate::support::sink::{Setup, Sink};
use crate::support::site::{self, NOW_MS, RUN, ask, execute, number};

/// Sendings that are judged, each of its own seed.
const SEEDS: u64 = 60;
/// Mails to each actor of a sending.
const EACH: usize = 40;

/// How often people were taken for people, and machines for people.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    people: u32,
    found: u32,
    machines: u32,
    mistaken: u32,
}

impl Score {
    fn add(&mut self, hit: &Hit, class: TouchClass) {
        let said = u32::from(class == TouchClass::Human);
        match hit.truth {
            Truth::Person => (self.people, self.found) = (self.people + 1, self.found + said),
            _ => (self.machines, self.mistaken) = (self.machines + 1, self.mistaken + said),
        }
    }

    fn precision(self) -> f64 {
        f64::from(self.found) / f64::from((self.found + self.mistaken).max(1))
    }

    fn recall(self) -> f64 {
        f64::from(self.found) / f64::from(self.people.max(1))
    }
}

fn hashed(words: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

/// What our tables keep of a hit.
fn evidence(hit: &Hit, agents: &Agents) -> Evidence {
    let (kind, slot) = match hit.target {
        Target::Pixel => (TouchKind::Open, 0),
        Target::Link(n) => (TouchKind::Click, 1 + n as u16),
        Target::Hidden => (TouchKind::Click, HIDDEN_SLOT),
    };
    Evidence {
        at_ms: hit.at_ms,
        message: (1, hit.mail.message),
        domain: hashed(&hit.mail.domain),
        sent_at_ms: Some(hit.mail.delivered_at_ms),
        kind,
        place: (slot, 0),
        alone: agents.classify(kind, if hit.head { "HEAD" } else { "GET" }, &hit.agent),
        agent: hashed(&hit.agent),
        network: network(hit.ip),
    }
}

/// Plays the actors and scores opens and clicks, clicks alone first.
fn scores(actors: &[Actor]) -> BTreeMap<Actor, (Score, Score)> {
    let agents = Agents::new();
    let mut scores: BTreeMap<Actor, (Score, Score)> = BTreeMap::new();
    for seed in 1..=SEEDS {
        let hits = play(seed, actors, EACH);
        let evidence: Vec<Evidence> = hits.iter().map(|hit| evidence(hit, &agents)).collect();
        for (hit, class) in hits.iter().zip(judge(&evidence)) {
            let (clicks, all) = scores.entry(hit.actor).or_default();
            all.add(hit, class);
            if hit.target != Target::Pixel {
                clicks.add(hit, class);
            }
        }
    }
    scores
}

/// Prints a line for each actor and returns the sum: clicks, everything.
fn print(title: &str, scores: &BTreeMap<Actor, (Score, Score)>) -> (Score, Score) {
    println!("{title}, {SEEDS} seeds of {EACH} mails per actor; opens and clicks of people, of machines:");
    let mut sum = (Score::default(), Score::default());
    for (actor, (clicks, all)) in scores {
        println!(
            "  {:<14} people {:>5} found {:>6.2} %   machines {:>5} taken for people {:>6.2} %",
            format!("{actor:?}"),
            all.people,
            100.0 * all.recall(),
            all.machines,
            100.0 * f64::from(all.mistaken) / f64::from(all.machines.max(1)),
        );
        for (sum, one) in [(&mut sum.0, clicks), (&mut sum.1, all)] {
            sum.people += one.people;
            sum.found += one.found;
            sum.machines += one.machines;
            sum.mistaken += one.mistaken;
        }
    }
    for (what, sum) in [("clicks", sum.0), ("opens and clicks", sum.1)] {
        println!("  {what}: precision {:.3} %, recall {:.3} %", 100.0 * sum.precision(), 100.0 * sum.recall());
    }
    sum
}

#[test]
fn people_are_told_from_plain_machines() {
    let (clicks, all) = print("plain actors", &scores(&Actor::PLAIN));
    for score in [clicks, all] {
        assert!(score.people > 10_000 && score.machines > 10_000, "{score:?}");
        assert!(score.precision() >= 0.99, "{score:?}");
        assert!(score.recall() >= 0.99, "{score:?}");
    }
}

/// The evasive ones are printed and only bounded: most of what they do must not pass for a person, and people who
/// behave oddly must mostly stay people.
#[test]
fn the_evasive_are_measured() {
    let every: Vec<Actor> = Actor::PLAIN.into_iter().chain(Actor::EVASIVE).collect();
    let scores = scores(&every);
    print("all actors together", &scores);
    assert!(scores[&Actor::DelayedBurst].1.mistaken * 5 < scores[&Actor::DelayedBurst].1.machines);
    assert!(scores[&Actor::CarrierNat].1.recall() > 0.95);
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36";
const MINUTE_MS: i64 = 60_000;
const FINAL_AFTER_MS: i64 = 15 * MINUTE_MS;

/// A click in the mail of the member numbered `member`, with the class it has at once.
fn click(at_ms: i64, member: i64, slot: u16, agent: &str) -> Touch {
    Touch {
        at_ms,
        run: RUN,
        message: member,
        kind: TouchKind::Click,
        class: Agents::new().classify(TouchKind::Click, "GET", agent),
        slot,
        product: 0,
        url: None,
        method: "GET",
        agent: agent.to_owned(),
        ip: "198.51.100.7".parse().unwrap(),
    }
}

async fn record(db: &Db, touches: &[Touch]) {
    let mut tx = db.begin(Lane::Event).await.unwrap();
    touch::append(tx.conn(), touches).await.unwrap();
    tx.commit().await.unwrap();
}

async fn learn_all(db: &Db, now_ms: i64) {
    while learn::run_once(db, &Rules::embedded(), now_ms, 100).await.unwrap() > 0 {}
}

async fn relearn_all(db: &Db, now_ms: i64) -> usize {
    let mut members = 0;
    while learn::again(db, &Rules::embedded(), now_ms).await.unwrap() {
        members += 1;
    }
    members
}

/// How much a member reads of the topic, as if read at one instant whatever fades in an hour.
async fn reads(db: &Db, member: i64) -> Option<f64> {
    let tags = tag::of_member(db.reader().await.unwrap().conn(), member).await.unwrap();
    let tag = tags.into_iter().find(|tag| tag.key == "reads:offers")?;
    Some((tag.decay().score(tag.lscore, NOW_MS) * 100.0).round() / 100.0)
}

both_dbs! {
    async fn tags_are_learned_anew_when_a_click_turns_out_a_machine_s(test) {
        let db = &test.db;
        site::campaign(db).await;
        let burst = |member| (1..=4).map(move |n| click(NOW_MS + 200 * i64::from(n), member, n, CHROME));
        record(db, &[click(NOW_MS - 30 * MINUTE_MS, 2, 1, FIREFOX)]).await;
        record(db, &burst(2).chain(burst(3)).collect::<Vec<_>>()).await;
        learn_all(db, NOW_MS).await;
        assert_eq!((reads(db, 2).await, reads(db, 3).await), (Some(5.0), Some(4.0)), "at once, everybody is a person");

        let agents = Arc::new(Agents::new());
        let soon = NOW_MS + MINUTE_MS;
        let done = classify::tick(db, &agents, soon, FINAL_AFTER_MS).await.unwrap();
        assert_eq!(done, Done { judged: 1, changed: 0 }, "what is younger stays provisional");
        let later = NOW_MS + 60 * MINUTE_MS;
        let done = classify::tick(db, &agents, later, FINAL_AFTER_MS).await.unwrap();
        assert_eq!(done, Done { judged: 8, changed: 8 });
        assert_eq!(classify::tick(db, &agents, later, FINAL_AFTER_MS).await.unwrap(), Done::default());
        // A click that waits to be learned from is counted once, by whoever takes it from the outbox.
        record(db, &[click(NOW_MS + 20 * MINUTE_MS, 2, 1, FIREFOX)]).await;
        assert_eq!(relearn_all(db, later).await, 2);
        assert_eq!((reads(db, 2).await, reads(db, 3).await), (Some(1.0), None));
        learn_all(db, later).await;
        assert_eq!(reads(db, 2).await, Some(2.0));

        // As an earlier version of the classes might have left it.
        execute(db, ["update touch set class = 'scanner' where slot = 1".to_owned()]).await;
        let done = classify::again(db, &agents, 0, later, &|_| ()).await.unwrap();
        assert_eq!(done, Done { judged: 10, changed: 2 }, "two clicks of a person are found again");
        assert_eq!(relearn_all(db, later).await, 1);
        assert_eq!(reads(db, 2).await, Some(2.0));
        let since = classify::again(db, &agents, NOW_MS, later, &|_| ()).await.unwrap();
        assert_eq!(since, Done { judged: 9, changed: 0 }, "from an instant on");
        assert_eq!(number(db, "select count(*) from relearn").await, 0);
    }
}

/// The links of a mail by the order they stand in, the hidden one last.
fn links(sink: &Sink, to: &str) -> Vec<String> {
    let mails = sink.accepted();
    let mail = mails.iter().find(|mail| mail.to.iter().any(|known| known.contains(to))).expect("a mail to the member");
    let parsed = MessageParser::default().parse(mail.mail.as_ref().expect("whole mails")).expect("a mail");
    let html = parsed.body_html(0).expect("an HTML part").into_owned();
    html.split("/c/").skip(1).map(|rest| format!("/c/{}", rest.split('"').next().unwrap())).collect()
}

async fn follow(http: SocketAddr, agent: &str, links: &[String]) {
    for link in links {
        let answer = ask(http, "GET", link, &format!("User-Agent: {agent}\r\n"), b"").await;
        assert_eq!(answer.status, 302, "every class is answered alike: {link}");
    }
}

/// Looks at a member until the tag reads so; each look is a process of its own, and pause enough.
fn until_reads(home: &Home, email: &str, enough: impl Fn(f64) -> bool) {
    let mut last = 0.0;
    for _ in 0..600 {
        let shown = home.json(&["member", "show", email]);
        let tags = shown["tags"].as_array().expect("tags");
        last = tags.iter().find(|tag| tag["key"] == "reads:offers").map_or(0.0, |tag| tag["score"].as_f64().unwrap());
        if enough(last) {
            return;
        }
    }
    panic!("{email} never came so far: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_learns_from_people_and_unlearns_what_a_scanner_taught() {
    let sink = Sink::with(Setup { keep_bodies: true, ..Setup::default() }).await;
    let home = Home::new(&format!("{}[tracking]\nfinal_after = \"8s\"\n", sections(&sink)));
    write_providers(&home);
    let members = ["person@mail.example", "honest@mail.example", "late@post.example"].map(str::to_owned);
    let campaign = Campaign::at(home, &members);
    let home = &campaign.home;
    let paragraphs: String =
        (1..=5).map(|n| format!("<p><a href=\"https://shop.example/{n}\">Part {n}</a></p>")).collect();
    let html = format!(
        "<html><body><p>Hello</p>{paragraphs}<p><a href=\"{{{{ unsubscribe_url() }}}}\">Unsubscribe</a></p></body></html>\n"
    );
    home.write("templates/plain/en.html", &html);
    home.done(&["template", "push", "templates"]);
    let daemon = home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(3);
    // The mails lie an hour in their boxes.
    let url = format!("sqlite://{}", home.path().join("data/indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.unwrap();
    execute(&db, ["update message set sent_at_ms = sent_at_ms - 3600000".to_owned()]).await;

    let http: SocketAddr = daemon.url("http").trim_start_matches("http://").parse().unwrap();
    let (person, honest, late) = (links(&sink, "person@"), links(&sink, "honest@"), links(&sink, "late@"));
    assert_eq!((person.len(), honest.len(), late.len()), (6, 6, 6), "five links and a hidden one");
    follow(http, "python-requests/2.32", &honest).await;
    follow(http, FIREFOX, &late[4..5]).await;
    execute(&db, ["update touch set at_ms = at_ms - 600000 where class = 'human'".to_owned()]).await;
    follow(http, CHROME, &late[..4]).await;
    follow(http, FIREFOX, &person[1..2]).await;
    until_reads(home, "late@post.example", |score| score > 4.9);
    until_reads(home, "person@mail.example", |score| score > 0.9);
    until_reads(home, "late@post.example", |score| (0.9..1.1).contains(&score));
    until_reads(home, "person@mail.example", |score| (0.9..1.1).contains(&score));
    until_reads(home, "honest@mail.example", |score| score == 0.0);
    assert_eq!(number(&db, "select count(*) from touch where class = 'scanner'").await, 10);
    assert_eq!(number(&db, "select count(*) from touch where class = 'human' and kind = 'click'").await, 2);

    execute(&db, ["update touch set class = 'human'".to_owned()]).await;
    assert_eq!(home.run(&["touches", "reclassify", "--since", "yesterday"]).code, 1);
    let done = home.json(&["touches", "reclassify"]);
    assert_eq!((&done["judged"], &done["changed"]), (&12.into(), &10.into()), "{done}");
    until_reads(home, "honest@mail.example", |score| score == 0.0);
    assert_eq!(daemon.stop(), 0);
}
