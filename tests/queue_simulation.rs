//! A seeded schedule of everything that can happen to a queue, with its promises checked after every step.

use std::collections::HashMap;

use indicia::base::World;
use indicia::domain::message::{MessageState as S, RunState};
use indicia::queue::Outcome;
use indicia::queue::claim::{Mark, claim};
use indicia::queue::recover::recover;
use indicia::store::{Lane, daemon, member, run};

use crate::both_dbs;
use crate::support::db::TestDb;
use crate::support::queue::{Held, arm, commit, counted, sending_run, set_run_state, settle};

const MESSAGES: i64 = 24;
const STEPS: u32 = 160;
const SLOTS: usize = 4;

/// The world outside the queue: who holds what in memory, and what the recipients got.
struct Simulation {
    world: World,
    run_id: i64,
    epoch: i64,
    held: Vec<Held>,
    mail_epochs: HashMap<i64, i64>,
    /// Dots a server accepted, by message.
    delivered: HashMap<i64, u32>,
    unsubscribed: Vec<i64>,
}

impl Simulation {
    fn draw(&self, below: usize) -> usize {
        (self.world.random() % below.max(1) as u64) as usize
    }

    async fn step(&mut self, test: &TestDb) {
        self.world.advance(1 + self.draw(500) as i64);
        match self.draw(20) {
            0..=4 => self.claim(test).await,
            5..=10 => self.arm(test).await,
            11..=15 => self.settle(test).await,
            16 => self.crash(test).await,
            17 => self.unsubscribe(test).await,
            18 => self.pause_or_resume(test).await,
            _ => self.world.advance(60_000),
        }
    }

    async fn claim(&mut self, test: &TestDb) {
        let mut reader = test.db.reader().await.unwrap();
        let generation = run::by_id(reader.conn(), self.run_id).await.unwrap().unwrap().generation;
        let n = 1 + self.draw(4) as i64;
        let leased =
            claim(&test.db, (self.run_id, 1), Mark::default(), n, self.epoch, self.world.now_ms()).await.unwrap();
        leased.committed.unwrap();
        let is_unknown = self.draw(8) == 0;
        for row in leased.rows {
            let member = row.member_id.unwrap();
            let mail_epoch = self.mail_epochs.get(&member).copied().unwrap_or(0);
            let held = Held { id: row.id, member, attempt: row.attempt, generation, mail_epoch, armed: false };
            if is_unknown {
                // Whether the claim was committed: what it would have leased is given back, as dispatch does.
                let due_at_ms = self.world.now_ms();
                let back = settle(self.run_id, &held, Outcome::Released { due_at_ms }, due_at_ms);
                commit(&test.db, self.epoch, &[back]).await;
                continue;
            }
            self.held.push(held);
        }
    }

    async fn arm(&mut self, test: &TestDb) {
        let armed = self.held.iter().filter(|held| held.armed).count();
        let Some(at) = self.held.iter().position(|held| !held.armed).filter(|_| armed < SLOTS) else { return };
        let mut held = self.held.remove(at);
        if commit(&test.db, self.epoch, &[arm(self.run_id, &held, self.world.now_ms())]).await == [true] {
            assert!(!self.unsubscribed.contains(&held.member), "armed after an unsubscribe was committed");
            held.armed = true;
            self.held.push(held);
        } else {
            let due_at_ms = self.world.now_ms();
            commit(&test.db, self.epoch, &[settle(self.run_id, &held, Outcome::Released { due_at_ms }, due_at_ms)])
                .await;
        }
    }

    /// The server's answer to an armed message, or none; a row refused before its dot.
    async fn settle(&mut self, test: &TestDb) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.remove(self.draw(self.held.len()));
        let now_ms = self.world.now_ms();
        let outcome = match (held.armed, self.draw(6)) {
            (true, 0..=2) => {
                *self.delivered.entry(held.id).or_default() += 1;
                Outcome::Sent { remote_id: None }
            }
            (true, 3) => {
                if self.draw(2) == 0 {
                    *self.delivered.entry(held.id).or_default() += 1;
                }
                Outcome::Lost
            }
            (_, 4) => Outcome::Bounced { why: "refused" },
            (false, 3) => Outcome::Skipped { why: "suppressed" },
            (_, 5) => Outcome::Deferred { due_at_ms: now_ms + 1_000 },
            _ => Outcome::Released { due_at_ms: now_ms },
        };
        let turn = settle(self.run_id, &held, outcome, now_ms);
        commit(&test.db, self.epoch, std::slice::from_ref(&turn)).await;
        if self.draw(4) == 0 {
            commit(&test.db, self.epoch, &[turn]).await; // The commit's answer was lost: said again.
        }
    }

    /// The daemon dies; what its armed messages' servers did is theirs to know. Another starts.
    async fn crash(&mut self, test: &TestDb) {
        for held in std::mem::take(&mut self.held) {
            if held.armed && self.draw(2) == 0 {
                *self.delivered.entry(held.id).or_default() += 1;
            }
        }
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        daemon::end(tx.conn(), self.epoch, self.world.now_ms()).await.unwrap();
        self.epoch = daemon::start(tx.conn(), "host", 1, self.world.now_ms()).await.unwrap();
        recover(tx.conn(), self.epoch, self.world.now_ms()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn unsubscribe(&mut self, test: &TestDb) {
        let member = 1 + self.draw(MESSAGES as usize) as i64;
        let mut tx = test.db.begin(Lane::Event).await.unwrap();
        member::raise_epoch(tx.conn(), &[member]).await.unwrap();
        tx.commit().await.unwrap();
        // Claims after this read the new epoch, and the member's consent is gone: they would be skipped, so the
        // simulation keeps the old epoch for them and expects every arm to be refused.
        self.unsubscribed.push(member);
    }

    async fn pause_or_resume(&mut self, test: &TestDb) {
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        let state = run::by_id(tx.conn(), self.run_id).await.unwrap().unwrap().state;
        let next = if state == RunState::Sending { RunState::Pausing } else { RunState::Sending };
        set_run_state(tx.conn(), self.run_id, next).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn check(&self, test: &TestDb) {
        let count = counted(&test.db, self.run_id).await;
        let total: i64 = S::ALL.iter().map(|state| count(*state)).sum();
        assert_eq!(total, MESSAGES, "the states must sum to the audience");
        assert_eq!(count(S::Leased) + count(S::Armed), self.held.len() as i64, "the rows in hand are the rows owned");
        assert!(count(S::Armed) <= SLOTS as i64);
        assert!(self.delivered.values().all(|n| *n <= 1), "sent twice: {:?}", self.delivered);
        let doubt_or_sent = count(S::Sent) + count(S::InDoubt);
        assert!(self.delivered.len() as i64 <= doubt_or_sent, "a delivered mail is accounted for as sent or in doubt");
    }
}

both_dbs! {
    async fn whatever_happens_nothing_is_lost_and_nothing_sent_twice(test) {
        let seeds = if test.url.starts_with("sqlite") { 12 } else { 4 };
        for seed in 1..=seeds {
            println!("seed {seed}");
            let world = World::seeded(seed, 1_000_000 * seed as i64);
            let run_id = sending_run(&test.db, MESSAGES, world.now_ms()).await;
            let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
            let epoch = daemon::start(tx.conn(), "host", 1, world.now_ms()).await.unwrap();
            for member in 1..=MESSAGES {
                reset_epoch(tx.conn(), member).await;
            }
            tx.commit().await.unwrap();
            let mut simulation = Simulation {
                world, run_id, epoch, held: vec![], mail_epochs: HashMap::new(), delivered: HashMap::new(), unsubscribed: vec![],
            };
            for _ in 0..STEPS {
                simulation.step(&test).await;
                simulation.check(&test).await;
            }
        }
    }
}

async fn reset_epoch(conn: indicia::store::Conn<'_>, member: i64) {
    indicia::on!(conn, "reset a mail epoch", c => sqlx::query("update member set mail_epoch = 0 where id = $1")
        .bind(member).execute(&mut *c).await.map(|_| ()))
    .unwrap();
}
