//! Dispatch: the queue manager. It keeps the routes' queues of jobs filled from the lanes of the sending runs, a
//! limited window on a queue of any size, and takes jobs back when their run or their route no longer wants them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::gate::Gate;
use super::handover::{ContextError, Job, RouteLink, RunContext};
use crate::base::World;
use crate::domain::campaign::MailClass;
use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::message::RunState;
use crate::domain::provider::NULL_MX;
use crate::domain::recommend::History;
use crate::domain::routing::Shares;
use crate::domain::suppression::{SCOPE_ASKING, SuppressionReason};
use crate::queue::claim::{self, Claimed, Mark};
use crate::queue::{Outcome, Settle, Trouble, Turn, Turns};
use crate::store::run::{self, Run};
use crate::store::{Db, StoreError, consent, history, member, suppression};

/// How long an empty lane sleeps at most, milliseconds: what is on its way may come back to it at any moment.
const LANE_SLEEP_MAX_MS: i64 = 500;
/// How long a mark is believed before a lane is looked at from its head again, milliseconds.
const MARK_MAX_MS: i64 = 60_000;
/// From so many deaths of daemons on a mail is tried apart before one holds it again.
const CRASHES_MAX: i64 = 3;
/// How long a mail waits that could not be tried so, milliseconds.
const UNTRIED_PAUSE_MS: i64 = 60_000;
/// Seconds of a slow rate that are claimed ahead.
const CLAIM_AHEAD_SECONDS: f64 = 2.0;

/// A member an engine is asked about, with what is known of their behaviour.
pub type Asked<'a> = (&'a Member, Option<&'a History>);
/// Products by member, the best first.
pub type Suggested = HashMap<i64, Vec<i64>>;

/// What makes a run's context: `app` knows senders, templates and the catalogue.
pub trait Library: Send + Sync {
    /// Everything the mails of a run have in common.
    fn context(&self, run: &Run) -> impl Future<Output = Result<RunContext, ContextError>> + Send;

    /// What a group of servers is called.
    fn provider_name(&self, id: i64) -> impl Future<Output = Result<Arc<str>, StoreError>> + Send;

    /// The gate of a provider over a route.
    fn gate(&self, route: &str, provider: (i64, &str)) -> Arc<Gate>;

    /// Those of `suspects` that a process died of which rendered them apart from this one.
    fn deadly(&self, run_id: i64, suspects: &[Claimed]) -> impl Future<Output = std::io::Result<HashSet<i64>>> + Send;

    /// What an engine outside suggests for members, products by member; nothing where there is none, or no answer.
    fn suggest(&self, run_id: i64, members: &[Asked<'_>], catalog: &Catalog) -> impl Future<Output = Suggested> + Send;

    /// The catalogue, at most some seconds old.
    fn catalog(&self) -> impl Future<Output = Result<Catalog, StoreError>> + Send;
}

/// The queue manager of one daemon.
pub struct Dispatch<L> {
    pub db: Db,
    pub world: World,
    pub epoch: i64,
    pub turns: Turns,
    pub library: L,
    pub routes: Vec<Arc<RouteLink>>,
    /// Rows leased in one transaction.
    pub claim_batch_max: usize,
    /// Jobs waiting for couriers in all.
    active_max: usize,
    runs: BTreeMap<i64, Sending>,
    /// What each route was given.
    shares: Shares,
    /// The lane after which the next round starts.
    turn_of: usize,
}

struct Sending {
    context: Arc<RunContext>,
    lanes: Vec<LaneState>,
    /// The routes kept for the likes of it, then those that take it while none of the former can be used.
    ways: [Vec<usize>; 2],
}

/// What a route takes of a lane.
enum Room {
    /// Nothing: what waits there has no tokens yet.
    Unspent,
    For(usize),
}

struct LaneState {
    provider_id: i64,
    /// The provider's gate on each route.
    gates: Vec<Arc<Gate>>,
    mark: Mark,
    /// When the mark last stood at the lane's head.
    marked_at_ms: i64,
    asleep_until_ms: i64,
}

/// A claimed row, as a settle names it.
struct Lease {
    run_id: i64,
    id: i64,
    attempt: i64,
    variant: i64,
}

impl Lease {
    fn of_row(run_id: i64, row: &Claimed) -> Lease {
        Lease { run_id, id: row.id, attempt: row.attempt, variant: row.variant }
    }

    fn of(job: &Job) -> Lease {
        Lease::of_row(job.run.run_id, &job.row)
    }
}

impl<L: Library> Dispatch<L> {
    pub fn new(
        (db, world, epoch): (Db, World, i64),
        turns: Turns,
        library: L,
        routes: Vec<Arc<RouteLink>>,
        (claim_batch_max, active_max): (usize, usize),
    ) -> Dispatch<L> {
        let claim_batch_max = claim_batch_max.max(1);
        let shares = Shares::new(routes.iter().map(|link| link.weight).collect());
        Dispatch {
            db,
            world,
            epoch,
            turns,
            library,
            routes,
            claim_batch_max,
            active_max,
            runs: BTreeMap::new(),
            shares,
            turn_of: 0,
        }
    }

    /// Looks at the runs: opens what began to send, takes back the jobs of what no longer does.
    ///
    /// # Errors
    /// The database's.
    pub async fn survey(&mut self) -> Result<(), StoreError> {
        let mut reader = self.db.reader().await?;
        let sending: Vec<Run> =
            run::active(reader.conn()).await?.into_iter().filter(|run| run.state == RunState::Sending).collect();
        self.runs
            .retain(|id, held| sending.iter().any(|run| run.id == *id && run.generation == held.context.generation));
        for run in &sending {
            if self.runs.contains_key(&run.id) {
                continue;
            }
            match self.library.context(run).await {
                Ok(context) => {
                    let providers = run::lanes(reader.conn(), run.id).await?;
                    let lanes = self.lanes(providers).await?;
                    let ways = self.ways(run);
                    tracing::info!(run = run.id, lanes = lanes.len(), "campaign {} is sending", run.campaign);
                    if ways.iter().all(Vec::is_empty) {
                        tracing::error!(
                            run = run.id,
                            "campaign {} waits: every [[route]] is kept for other mail by its `for`",
                            run.campaign
                        );
                    }
                    self.runs.insert(run.id, Sending { context: Arc::new(context), lanes, ways });
                }
                Err(ContextError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(run = run.id, %error, "campaign {} can not be sent: {error}", run.campaign)
                }
            }
        }
        drop(reader);
        let now_ms = self.world.now_ms();
        for link in &self.routes {
            let down = !link.health.is_up(now_ms);
            let unwanted = link.jobs.withdraw(|job| down || !self.wants(job) || job.gate.is_closed(now_ms));
            self.give_back(unwanted).await;
        }
        Ok(())
    }

    /// The routes a run may take: those kept for the likes of it, and those open to all.
    fn ways(&self, run: &Run) -> [Vec<usize>; 2] {
        let all = || self.routes.iter().enumerate();
        let kept = all()
            .filter(|(_, link)| link.kept_for.names(run.doc.class, &run.doc.topic, &run.campaign))
            .map(|(at, _)| at);
        let open = all().filter(|(_, link)| link.kept_for.is_open()).map(|(at, _)| at);
        [kept.collect(), open.collect()]
    }

    async fn lanes(&self, providers: Vec<i64>) -> Result<Vec<LaneState>, StoreError> {
        let mut lanes = Vec::with_capacity(providers.len());
        for provider_id in providers {
            let provider = self.library.provider_name(provider_id).await?;
            let gates = self.routes.iter().map(|link| self.library.gate(&link.route.name, (provider_id, &provider)));
            lanes.push(LaneState {
                provider_id,
                gates: gates.collect(),
                mark: Mark::default(),
                marked_at_ms: 0,
                asleep_until_ms: 0,
            });
        }
        Ok(lanes)
    }

    fn wants(&self, job: &Job) -> bool {
        self.runs.get(&job.run.run_id).is_some_and(|held| Arc::ptr_eq(&held.context, &job.run))
    }

    /// Claims one batch for a route that has room. `false`: nothing to do just now.
    ///
    /// # Errors
    /// The database's.
    pub async fn fill(&mut self) -> Result<bool, StoreError> {
        let now_ms = self.world.now_ms();
        let waiting: usize = self.routes.iter().map(|link| link.jobs.len()).sum();
        if waiting >= self.active_max {
            return Ok(false);
        }
        let lanes: Vec<(i64, usize)> =
            self.runs.iter().flat_map(|(id, held)| (0..held.lanes.len()).map(move |at| (*id, at))).collect();
        for step in 0..lanes.len() {
            let (run_id, at) = lanes[(self.turn_of + step) % lanes.len()];
            let held = &self.runs[&run_id];
            if held.lanes[at].asleep_until_ms > now_ms {
                continue;
            }
            let Some((route, limit)) = self.way(held, &held.lanes[at], now_ms) else { continue };
            self.turn_of = (self.turn_of + step + 1) % lanes.len();
            let found = self.claim(run_id, at, (route, limit), now_ms).await?;
            if found > 0 {
                self.shares.gave(route, found);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The route a lane takes next, and how much of it; `None`: it waits. Of the routes that are up, open to the lane's
    /// provider and not waiting for tokens, it is the one furthest behind its share. One that has no room is passed
    /// over, unless the weights differ: then the others do not run away from it.
    fn way(&self, held: &Sending, lane: &LaneState, now_ms: i64) -> Option<(usize, usize)> {
        let usable = |at: &usize| self.routes[*at].health.is_up(now_ms) && lane.gates[*at].is_open(now_ms);
        let ways = held.ways.iter().find(|ways| ways.iter().any(usable))?;
        let passes_over = self.shares.are_even();
        let takers = ways.iter().copied().filter(usable).filter(|at| match self.room(held, lane, *at) {
            Room::Unspent => false,
            Room::For(0) => !passes_over,
            Room::For(_) => true,
        });
        let at = self.shares.next(takers)?;
        match self.room(held, lane, at) {
            Room::For(n) if n > 0 => Some((at, n)),
            _ => None,
        }
    }

    /// How much of a lane is claimed for a route: as much as its tokens of the next seconds, or a batch while half of
    /// the last still waits. A courier that finds no job sends nothing behind its dot, and to claim rows and read their
    /// members takes as long as many mails.
    fn room(&self, held: &Sending, lane: &LaneState, route: usize) -> Room {
        let (link, gate) = (&self.routes[route], &lane.gates[route]);
        let rates = [held.context.pace.as_ref(), Some(gate), link.jobs.pace.as_ref()].into_iter().flatten();
        let slowest = rates.filter_map(|gate| gate.rate()).fold(f64::INFINITY, f64::min);
        let limit = ((slowest * CLAIM_AHEAD_SECONDS).ceil().max(1.0)).min(self.claim_batch_max as f64) as usize;
        let waiting = link.jobs.of_lane(&held.context, gate);
        if limit < self.claim_batch_max {
            return if waiting * 2 > limit { Room::Unspent } else { Room::For(limit - waiting) };
        }
        Room::For(if waiting > (limit / 2).max(link.connections * 2) { 0 } else { limit })
    }

    async fn claim(
        &mut self,
        run_id: i64,
        at: usize,
        (route, limit): (usize, usize),
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        let link = self.routes[route].clone();
        let held = &self.runs[&run_id];
        let (context, lane) = (held.context.clone(), &held.lanes[at]);
        let (provider_id, gate) = (lane.provider_id, lane.gates[route].clone());
        let claim::Leased { rows: claimed, committed } =
            claim::claim(&self.db, (run_id, provider_id), lane.mark, limit as i64, self.epoch, now_ms).await?;
        let leases: Vec<Lease> = claimed.iter().map(|row| Lease::of_row(run_id, row)).collect();
        let prepared = async {
            committed?;
            self.move_mark(run_id, at, &claimed, claimed.len() == limit, now_ms).await?;
            if claimed.is_empty() {
                return Ok(Vec::new());
            }
            self.prepare(&context, &link, claimed, gate, now_ms).await
        };
        let found = leases.len();
        match prepared.await {
            Ok(jobs) => link.jobs.push(jobs),
            Err(error) => {
                // Whether or not the claim was committed: a leased row in nobody's hand would wait for our own end.
                let released = || Outcome::Released { due_at_ms: now_ms };
                self.settle_all(leases.into_iter().map(|lease| (lease, released()))).await;
                return Err(error);
            }
        }
        Ok(found)
    }

    /// A lane that answered in full is asked again from where it stopped; one that did not is asked from its head, and
    /// sleeps when that is empty.
    async fn move_mark(
        &mut self,
        run_id: i64,
        at: usize,
        claimed: &[Claimed],
        full: bool,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let lane = &self.runs[&run_id].lanes[at];
        let (provider_id, was_at_head) = (lane.provider_id, lane.mark == Mark::default());
        // SQLite leaves no dead entries that a mark would skip.
        let last = claimed.last().filter(|_| self.db.sqlite_path().is_none()).map(|row| (row.was_due_at_ms, row.id));
        let is_fresh = now_ms - lane.marked_at_ms < MARK_MAX_MS;
        let mark = match last.filter(|_| full && is_fresh) {
            Some((due_at_ms, id)) => Mark { due_at_ms, id },
            None => Mark::default(),
        };
        let mut asleep_until_ms = 0;
        if claimed.is_empty() && was_at_head {
            let mut reader = self.db.reader().await?;
            let next = claim::next_due(reader.conn(), (run_id, provider_id)).await?;
            asleep_until_ms = next.unwrap_or(i64::MAX).clamp(now_ms + 1, now_ms + LANE_SLEEP_MAX_MS);
        }
        if let Some(lane) = self.runs.get_mut(&run_id).and_then(|held| held.lanes.get_mut(at)) {
            let marked_at_ms = if mark == Mark::default() { now_ms } else { lane.marked_at_ms };
            (lane.mark, lane.marked_at_ms, lane.asleep_until_ms) = (mark, marked_at_ms, asleep_until_ms);
        }
        Ok(())
    }

    /// Loads what the mails of a claim are made from, and settles the rows that may not be sent after all.
    async fn prepare(
        &self,
        context: &Arc<RunContext>,
        link: &RouteLink,
        claimed: Vec<Claimed>,
        gate: Arc<Gate>,
        now_ms: i64,
    ) -> Result<Vec<Job>, StoreError> {
        let claimed = self.without_deadly(context.run_id, link, claimed, now_ms).await;
        let ids: Vec<i64> = claimed.iter().filter_map(|row| row.member_id).collect();
        let mut reader = self.db.reader_by_key().await?;
        let mut members = member::profiles(reader.conn(), &ids).await?;
        let marketing = context.stationery.class == MailClass::Marketing;
        let consenting = match marketing {
            true => Some(consent::granted(reader.conn(), &ids, &context.scope).await?),
            false => None,
        };
        let keys: Vec<i64> = members.values().map(|member| member.addr_key).collect();
        let topic = marketing.then_some(context.scope.as_str());
        let suppressed = suppression::suppressed(reader.conn(), &keys, topic, now_ms).await?;
        drop(reader);
        let mut histories = history::load(&self.db, &ids, now_ms).await?;
        let catalog = self.library.catalog().await?;
        let asked: Vec<Asked<'_>> = members.iter().map(|(id, member)| (member, histories.get(id))).collect();
        let suggested = self.library.suggest(context.run_id, &asked, &catalog).await;
        for (id, products) in suggested.into_iter().filter(|(_, products)| !products.is_empty()) {
            histories.entry(id).or_default().suggested = products;
        }
        let stops = |why: &SuppressionReason| !(context.scope == SCOPE_ASKING && why.may_be_asked());
        let (mut jobs, mut skipped, mut again) = (Vec::with_capacity(claimed.len()), Vec::new(), Vec::new());
        for row in claimed {
            let id = row.member_id.unwrap_or_default();
            let member = members.remove(&id);
            // A member's second mail in one claim waits for the next: what is known of a member goes with one mail.
            if member.is_none() && ids.iter().filter(|other| **other == id).count() > 1 {
                again.push((Lease::of_row(context.run_id, &row), Outcome::Released { due_at_ms: now_ms }));
                continue;
            }
            let why = match &member {
                None => Some("erased"),
                Some(_) if &*gate.provider == NULL_MX => Some("null_mx"),
                Some(member) if suppressed.get(&member.addr_key).is_some_and(stops) => Some("suppressed"),
                Some(member) if marketing && member.wishes.is_paused(now_ms) => Some("paused"),
                Some(_) if consenting.as_ref().is_some_and(|ids| !ids.contains(&id)) => Some("no_consent"),
                Some(_) => None,
            };
            let member = member.unwrap_or_default();
            let history = histories.remove(&id).unwrap_or_default();
            let (run, catalog, gate) = (context.clone(), catalog.clone(), gate.clone());
            let job = Job { run, row, member, history, catalog, gate };
            match why.map(|why| Outcome::Skipped { why }) {
                Some(outcome) => {
                    link.tally.ended(&job, &outcome);
                    skipped.push((Lease::of(&job), outcome));
                }
                None => jobs.push(job),
            }
        }
        self.settle_all(skipped.into_iter().chain(again)).await;
        Ok(jobs)
    }

    /// The claimed rows without those that may have killed daemons: what a process of its own died of has failed, what
    /// could not be tried so waits.
    async fn without_deadly(&self, run_id: i64, link: &RouteLink, claimed: Vec<Claimed>, now_ms: i64) -> Vec<Claimed> {
        let (suspects, mut good): (Vec<Claimed>, Vec<Claimed>) =
            claimed.into_iter().partition(|row| row.crashes >= CRASHES_MAX);
        if suspects.is_empty() {
            return good;
        }
        let tried = self.library.deadly(run_id, &suspects).await;
        if let Err(error) = &tried {
            tracing::error!(run = run_id, %error, "mails over which daemons died could not be tried apart");
        }
        for row in suspects {
            let (outcome, trouble) = match &tried {
                Ok(deadly) if !deadly.contains(&row.id) => {
                    good.push(row);
                    continue;
                }
                Ok(_) => (Outcome::Failed { why: "render" }, Some(killer(&link.route.name))),
                Err(_) => (Outcome::Released { due_at_ms: now_ms + UNTRIED_PAUSE_MS }, None),
            };
            let Lease { run_id, id, attempt, variant } = Lease::of_row(run_id, &row);
            let settle = Settle { run_id, id, attempt, variant, outcome, at_ms: now_ms, trouble };
            // When the writer has ended, so does this process, and the row is taken back.
            let _ = self.turns.settle(Turn { settle: Some(settle), arm: None }).await;
        }
        good
    }

    /// Gives every waiting job back: the daemon stops.
    pub async fn stop(&mut self) {
        self.runs.clear();
        for link in &self.routes {
            let all = link.jobs.withdraw(|_| true);
            self.give_back(all).await;
        }
    }

    /// Puts jobs that nobody tried back where they stood.
    async fn give_back(&self, jobs: Vec<Job>) {
        let released = |job: &Job| Outcome::Released { due_at_ms: job.row.was_due_at_ms };
        self.settle_all(jobs.iter().map(|job| (Lease::of(job), released(job)))).await;
    }

    async fn settle_all(&self, outcomes: impl IntoIterator<Item = (Lease, Outcome)>) {
        let at_ms = self.world.now_ms();
        let mut settling = tokio::task::JoinSet::new();
        for (Lease { run_id, id, attempt, variant }, outcome) in outcomes {
            let settle = Settle { run_id, id, attempt, variant, outcome, at_ms, trouble: None };
            let turns = self.turns.clone();
            settling.spawn(async move { turns.settle(Turn { settle: Some(settle), arm: None }).await });
        }
        while settling.join_next().await.is_some() {}
    }
}

/// What is kept of a mail that kills whoever renders it.
fn killer(route: &str) -> Trouble {
    Trouble {
        route: route.to_owned(),
        stage: "render",
        class: "crash",
        code: None,
        enhanced: None,
        text: format!("daemons died over this mail {CRASHES_MAX} times, and so did a process that only rendered it"),
        against: None,
    }
}
