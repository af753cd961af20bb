//! The bounded queue between dispatch and the couriers of a route.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::gate::{Gate, Pass, Seats};
use super::{Job, RunContext};
use crate::base::World;

/// How long a courier without a token waits before it looks again whether there are new ones.
const LOOK: Duration = Duration::from_millis(20);

/// The jobs of one route: filled by dispatch, emptied by its couriers. Each lane stands in a line of its own, and a job
/// is handed out when its run, its provider and the route have a token for it and its provider a connection: nobody
/// waits with a slow provider's mail in hand.
pub struct Jobs {
    waiting: Mutex<Waiting>,
    /// The pace of the whole route.
    pub pace: Option<Arc<Gate>>,
    /// Held by the one courier that waits for the next token; the others stand behind it.
    turn: tokio::sync::Mutex<()>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    /// The line that is asked first.
    next: usize,
    len: usize,
}

struct Line {
    run: Arc<RunContext>,
    gate: Arc<Gate>,
    jobs: VecDeque<Job>,
}

impl Jobs {
    pub fn new(pace: Option<Arc<Gate>>) -> Jobs {
        Jobs { waiting: Mutex::default(), pace, turn: Default::default(), filled: Notify::new() }
    }

    pub fn len(&self) -> usize {
        self.lock().len
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of a lane wait.
    pub fn of_lane(&self, run: &Arc<RunContext>, gate: &Arc<Gate>) -> usize {
        self.lock().line(run, gate).map_or(0, |line| line.jobs.len())
    }

    /// Adds jobs, all of one lane.
    pub fn push(&self, jobs: Vec<Job>) {
        let Some((run, gate)) = jobs.first().map(|job| (job.run.clone(), job.gate.clone())) else { return };
        let mut waiting = self.lock();
        waiting.len += jobs.len();
        match waiting.line(&run, &gate) {
            Some(line) => line.jobs.extend(jobs),
            None => waiting.lines.push(Line { run, gate, jobs: jobs.into() }),
        }
        self.filled.notify_one();
    }

    /// The next job that may leave at once.
    pub fn try_take(&self, now_us: i64, seats: &mut Seats) -> Option<Job> {
        self.pick(now_us, seats).ok()
    }

    /// The next job, waited for.
    pub async fn take(&self, world: &World, seats: &mut Seats) -> Job {
        let _turn = self.turn.lock().await;
        loop {
            let now_us = world.now_ms() * 1_000;
            let wait = match self.pick(now_us, seats) {
                Ok(job) => return job,
                Err(None) => {
                    self.filled.notified().await;
                    continue;
                }
                Err(Some(Pass::At(at_us))) => Duration::from_micros((at_us - now_us).unsigned_abs()).min(LOOK),
                Err(Some(_)) => LOOK,
            };
            let _ = tokio::time::timeout(wait, self.filled.notified()).await;
        }
    }

    /// Somebody's connection became free.
    pub fn freed(&self) {
        self.filled.notify_one();
    }

    /// Hands out a job with its tokens and its seat. The error says what is waited for; `None`: for jobs.
    fn pick(&self, now_us: i64, seats: &mut Seats) -> Result<Job, Option<Pass>> {
        let mut waiting = self.lock();
        let waiting = &mut *waiting;
        if waiting.len == 0 {
            return Err(None);
        }
        if let Some(blocked) = self.pace.as_ref().map(|pace| pace.peek(now_us)).filter(|pass| *pass != Pass::Now) {
            return Err(Some(blocked));
        }
        let mut soonest = Pass::Later;
        for step in 0..waiting.lines.len() {
            let at = (waiting.next + step) % waiting.lines.len();
            let line = &mut waiting.lines[at];
            if line.jobs.is_empty() {
                continue;
            }
            match line.pass(now_us, seats) {
                Pass::Now => {}
                pass => {
                    soonest = soonest.sooner(pass);
                    continue;
                }
            }
            if let Some(pace) = &self.pace {
                pace.take(now_us);
            }
            let Some(job) = line.jobs.pop_front() else { continue };
            waiting.len -= 1;
            waiting.next = at + 1;
            return Ok(job);
        }
        Err(Some(soonest))
    }

    /// Takes back the jobs that `unwanted` picks.
    pub fn withdraw(&self, unwanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut waiting = self.lock();
        let mut out = Vec::new();
        for line in &mut waiting.lines {
            let (gone, kept): (Vec<Job>, VecDeque<Job>) =
                std::mem::take(&mut line.jobs).into_iter().fold(Default::default(), |(mut gone, mut kept), job| {
                    if unwanted(&job) {
                        gone.push(job)
                    } else {
                        kept.push_back(job)
                    }
                    (gone, kept)
                });
            line.jobs = kept;
            out.extend(gone);
        }
        waiting.lines.retain(|line| !line.jobs.is_empty());
        waiting.len -= out.len();
        out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while holding the jobs")
    }
}

impl Waiting {
    fn line(&mut self, run: &Arc<RunContext>, gate: &Arc<Gate>) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| Arc::ptr_eq(&line.run, run) && Arc::ptr_eq(&line.gate, gate))
    }
}

impl Line {
    /// Takes a seat and the tokens of provider and run, all or none.
    fn pass(&self, now_us: i64, seats: &mut Seats) -> Pass {
        match self.gate.peek(now_us) {
            Pass::Now => {}
            pass => return pass,
        }
        if !seats.may_sit(&self.gate) {
            return Pass::Later;
        }
        // A run's tokens are also taken over other routes: they are asked for last.
        match self.run.pace.as_ref().map_or(Pass::Now, |pace| pace.take(now_us)) {
            Pass::Now => {}
            pass => return pass,
        }
        self.gate.take(now_us);
        seats.sit(&self.gate);
        Pass::Now
    }
}
