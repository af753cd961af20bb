//! All gates of a daemon, and what passes between them and the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Counts, Gate, Row, SEATED_MS};
use crate::base::World;
use crate::domain::gate::{self as account, Throttle};
use crate::domain::provider::Pace;
use crate::store::{Db, Lane, StoreError, gate};

/// How often all gates are read for what other daemons and the breakers did, milliseconds.
const LOOK_MS: i64 = 300;
/// A gate that nobody holds is forgotten after this, milliseconds.
const FORGET_MS: i64 = 60_000;

/// All gates of a daemon.
pub struct Gates {
    db: Db,
    world: World,
    pub throttle: Throttle,
    all: Mutex<Vec<Arc<Gate>>>,
    looked_ms: AtomicI64,
}

impl Gates {
    pub fn new(db: Db, world: World, throttle: Throttle) -> Gates {
        Gates { db, world, throttle, all: Mutex::default(), looked_ms: AtomicI64::new(0) }
    }

    /// The gate of a provider over a route, the same for everybody who asks. Nothing passes before the next tick.
    pub fn open(&self, route: &str, provider: (i64, &str), pace: Pace) -> Arc<Gate> {
        let mut all = self.all.lock().expect("nothing panics while holding the gates");
        if let Some(known) = all.iter().find(|gate| gate.provider_id == provider.0 && &*gate.route == route) {
            return known.clone();
        }
        let gate = Arc::new(Gate::new(route, provider, pace, &self.throttle));
        all.push(gate.clone());
        self.looked_ms.store(0, Ordering::Relaxed);
        gate
    }

    /// Takes grants for what is wanted, tells what was heard, and reads what others did.
    ///
    /// # Errors
    /// The database's; what was to be told is told at the next tick.
    ///
    /// # Crash
    /// The tokens of a daemon that dies are lost, its seats are freed.
    pub async fn tick(&self, epoch: i64) -> Result<(), StoreError> {
        let now_ms = self.world.now_ms();
        let all: Vec<Arc<Gate>> = {
            let mut all = self.all.lock().expect("nothing panics while holding the gates");
            all.retain(|gate| Arc::strong_count(gate) > 1 || gate.local().wanted_ms + FORGET_MS > now_ms);
            all.clone()
        };
        if now_ms - self.looked_ms.load(Ordering::Relaxed) >= LOOK_MS {
            self.looked_ms.store(now_ms, Ordering::Relaxed);
            self.look(&all).await?;
        }
        let due: Vec<&Arc<Gate>> = all.iter().filter(|gate| gate.is_due(now_ms)).collect();
        if due.is_empty() { Ok(()) } else { self.settle(&due, epoch, now_ms).await }
    }

    /// Gives back what was granted and not used: the daemon ends.
    ///
    /// # Errors
    /// The database's.
    pub async fn close(&self, epoch: i64) -> Result<(), StoreError> {
        let now_ms = self.world.now_ms();
        let all = self.all.lock().expect("nothing panics while holding the gates").clone();
        let unused = all.iter().filter(|gate| {
            let mut local = gate.local();
            (local.wanted_ms, local.asked_ms) = (0, 0);
            local.drop_unused(false, now_ms * 1_000);
            local.counts != Counts::default()
        });
        let due: Vec<&Arc<Gate>> = unused.collect();
        if due.is_empty() { Ok(()) } else { self.settle(&due, epoch, now_ms).await }
    }

    async fn look(&self, all: &[Arc<Gate>]) -> Result<(), StoreError> {
        let mut reader = self.db.reader().await?;
        let rows = gate::all(reader.conn()).await?;
        drop(reader);
        let mut rows: HashMap<(&str, i64), &gate::GateRow> =
            rows.iter().map(|row| ((row.route.as_str(), row.provider_id), row)).collect();
        for gate in all {
            let row = rows.remove(&(&*gate.route, gate.provider_id));
            let mut local = gate.local();
            local.is_known = true;
            if let Some(row) = row {
                gate.id.store(row.id, Ordering::Relaxed);
                // What this daemon has heard and not yet told counts too.
                let closed_until_ms = local.account.closed_until_ms;
                local.account = row.account();
                if local.told.is_some() {
                    local.account.closed_until_ms = local.account.closed_until_ms.max(closed_until_ms);
                }
            }
        }
        Ok(())
    }

    async fn settle(&self, due: &[&Arc<Gate>], epoch: i64, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.db.begin_by_key(Lane::Turn).await?;
        let mut missing: Vec<(&str, i64)> = due
            .iter()
            .filter(|gate| gate.id.load(Ordering::Relaxed) == 0)
            .map(|gate| (&*gate.route, gate.provider_id))
            .collect();
        // In one order, so that no two daemons wait for each other.
        missing.sort_unstable();
        if !missing.is_empty() {
            for (id, route, provider_id) in gate::ensure(tx.conn(), &missing).await? {
                let made = due.iter().find(|gate| gate.provider_id == provider_id && *gate.route == *route);
                if let Some(made) = made {
                    made.id.store(id, Ordering::Relaxed);
                }
            }
        }
        let ids: Vec<i64> = due.iter().map(|gate| gate.id.load(Ordering::Relaxed)).collect();
        let rows = gate::lock(tx.conn(), &ids).await?;
        let limited: Vec<i64> =
            due.iter().zip(&ids).filter(|(g, _)| g.pace.connections.is_some()).map(|(_, id)| *id).collect();
        let shares = match limited.is_empty() {
            true => HashMap::new(),
            false => gate::shares_of_others(tx.conn(), &limited, epoch, now_ms).await?,
        };
        let mut drafts = Vec::with_capacity(due.len());
        for (at, (gate, id)) in due.iter().zip(ids).enumerate() {
            let Some(account) = rows.iter().find(|row| row.id == id).map(gate::GateRow::account) else { continue };
            let (theirs, rivals) = shares.get(&id).copied().unwrap_or_default();
            let complaints = match gate.pace.warm_up.is_some() && account.day != account::day(now_ms) {
                true => gate::complaints(tx.conn(), gate.provider_id, account::day_begins_ms(account.day)).await?,
                false => 0,
            };
            drafts.push(gate.draft(at, Row { id, account, theirs, rivals }, complaints, &self.throttle, now_ms));
        }
        let changed = drafts.iter().filter(|draft| draft.is_changed);
        let saved: Vec<(i64, &account::Gate, &Pace)> =
            changed.map(|draft| (draft.id, &draft.account, &due[draft.at].pace)).collect();
        gate::save(tx.conn(), &saved).await?;
        let held: Vec<(i64, i64, i64)> = drafts
            .iter()
            .filter_map(|draft| {
                let wants = due[draft.at].local().may_sit(now_ms);
                Some((draft.id, draft.seats?, if wants { now_ms + 2 * SEATED_MS } else { 0 }))
            })
            .collect();
        gate::hold(tx.conn(), epoch, &held).await?;
        if missing.is_empty() && saved.is_empty() && held.is_empty() {
            drop(tx);
        } else {
            tx.commit().await?;
        }
        for draft in drafts {
            let gate = due[draft.at];
            if draft.told {
                self.say(gate, &draft.account, now_ms);
            }
            gate.apply(draft, now_ms);
        }
        Ok(())
    }

    fn say(&self, gate: &Gate, account: &account::Gate, now_ms: i64) {
        let seconds = (account.closed_until_ms - now_ms) / 1_000;
        tracing::warn!(
            route = %gate.route,
            "{} {}: it gets no mail over route {} for {seconds} s, and then at most {:.2} a second",
            gate.provider,
            account.why.as_deref().unwrap_or("says that we are too fast"),
            gate.route,
            account.learnt.unwrap_or(0.0),
        );
    }
}
