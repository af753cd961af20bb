//! People and machines told apart: on actors of known truth, and through a daemon.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use indicia::domain::people::{Evidence, HIDDEN_SLOT, judge, network};
use indicia::domain::touch::{Agents, TouchClass, TouchKind};

use crate::support::actors::{Actor, Hit, Target, Truth, play};

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
