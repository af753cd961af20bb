//! A courier: one slot with at most one connection, carrying one message after the other to its route.
//!
//! A message is rendered, its envelope opened, its content sent, its row **armed**; only then its final dot is written,
//! with the next message's envelope right behind it where the server pipelines. What the reply settles and what the
//! next message arms go to the writer as one [`Turn`], so a slot never owns two armed rows and a crash leaves at most
//! one message per connection in doubt (RFC 5321 §4.1.1.10, RFC 2920 §3.1).

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::gate::Seats;
use super::handover::{Job, RouteLink};
use crate::base::World;
use crate::base::metrics::Timer;
use crate::base::text::{clean, mask_addresses};
use crate::base::token::Keyring;
use crate::domain::bounce::{Judged, ReplyClass, Rules, Said, Step};
use crate::queue::claim::Claimed;
use crate::queue::{Arm, Outcome, Settle, Trouble, Turn, TurnError, Turns};
use crate::render::{self, Mail, Recipient, RenderError, Signers};
use crate::smtp::{Connection, Envelope, Failure, Kind, Opened, Reply, Stage, TlsConfigs, hurried};

/// Longest text kept of the reply to a mail that was taken, bytes.
const REMOTE_ID_BYTES_MAX: usize = 100;
/// Longest a settle waits for the next mail's content, to be handed in with its arm.
const OWED_WAIT_MAX: std::time::Duration = std::time::Duration::from_millis(50);

/// What every courier of a daemon shares.
pub struct Desk {
    pub world: World,
    pub turns: Turns,
    pub keyring: Arc<Keyring>,
    pub tls: TlsConfigs,
    /// What servers' words mean, as of now.
    pub replies: watch::Receiver<Arc<Rules>>,
    /// Permits to sign, one for each core.
    pub signing: Semaphore,
    /// Longest wait for the answer to an arm, milliseconds.
    pub arm_wait_ms: i64,
    /// Longest time between "armed" and the dot, on the clock that counts suspension, milliseconds.
    pub dot_after_arm_ms: i64,
    /// How long a connection without work is kept open.
    pub idle: std::time::Duration,
}

/// A rendered message, its tokens taken.
struct Ready {
    job: Job,
    mail: Mail,
    timer: Timer,
}

/// One slot.
pub struct Courier {
    desk: Arc<Desk>,
    link: Arc<RouteLink>,
    stop: CancellationToken,
    connection: Option<Connection>,
    /// How many mails the connection at hand has carried to each provider, by its id.
    carried: Vec<(i64, u32)>,
    seats: Seats,
    /// Rendered while the mail before it was being armed, and not yet on its way.
    ready: Option<Ready>,
}

/// The slot can not go on: its writer has ended, because the process does.
struct Ended;

impl From<TurnError> for Ended {
    fn from(_: TurnError) -> Ended {
        Ended
    }
}

impl Courier {
    pub fn new(desk: Arc<Desk>, link: Arc<RouteLink>, stop: CancellationToken) -> Courier {
        let (carried, seats) = Default::default();
        Courier { desk, link, stop, connection: None, carried, seats, ready: None }
    }

    /// Carries jobs until `stop`, then finishes the mail in hand, gives back what it has not armed, and quits.
    pub async fn work(mut self) {
        while !self.stop.is_cancelled() {
            let done = match self.ready.take() {
                Some(ready) => self.carry(ready).await,
                None => self.begin().await,
            };
            if done.is_err() {
                return;
            }
        }
        if let Some(ready) = self.ready.take() {
            let _ = self.give_back(&ready.job, ready.job.row.was_due_at_ms).await;
        }
        self.hang_up().await;
    }

    /// Waits for a job and carries it, and what follows it.
    async fn begin(&mut self) -> Result<(), Ended> {
        if self.seats.leave() {
            self.link.jobs.freed();
        }
        let job = tokio::select! {
            job = self.link.jobs.take(&self.desk.world, &mut self.seats) => job,
            () = self.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(self.desk.idle), if self.connection.is_some() => {
                self.hang_up().await;
                return Ok(());
            }
        };
        match self.render(job).await? {
            Some(ready) => self.carry(ready).await,
            None => Ok(()),
        }
    }

    async fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.quit().await;
        }
    }

    /// Renders the next job of the route, if one waits and its tokens are at hand.
    async fn prepare_next(&mut self) -> Result<(), Ended> {
        if self.stop.is_cancelled() || !self.link.health.is_up(self.desk.world.now_ms()) {
            return Ok(());
        }
        let now_us = self.desk.world.now_ms() * 1_000;
        if let Some(job) = self.link.jobs.try_take(now_us, &mut self.seats) {
            self.ready = self.render(job).await?;
        }
        Ok(())
    }

    async fn render(&self, job: Job) -> Result<Option<Ready>, Ended> {
        let (timer, now_ms) = (self.link.tally.start(), self.desk.world.now_ms());
        let (_, version) = &job.run.versions[job.row.variant as usize];
        let recipient = Recipient { message_id: job.row.id, member: &job.member, history: &job.history };
        let date_ms = job.row.armed_at_ms.unwrap_or(now_ms);
        let rendered = render::render_mail(
            version,
            &job.run.stationery,
            &recipient,
            &job.catalog,
            &self.desk.keyring,
            date_ms,
            now_ms,
        );
        let signers = &job.run.stationery.signers;
        let signed = match rendered {
            Ok(mail) if self.link.signs && !signers.is_empty() => self.sign(signers.clone(), mail, now_ms).await,
            rendered => rendered,
        };
        let (outcome, error) = match signed {
            Ok(mail) => return Ok(Some(Ready { job, mail, timer })),
            Err(RenderError::Abort { reason }) => (Outcome::Skipped { why: "template" }, reason),
            Err(error) => (Outcome::Failed { why: "render" }, error.to_string()),
        };
        tracing::warn!(run = job.run.run_id, message = job.row.id, %error, "a mail was not rendered");
        let trouble = Trouble {
            route: self.link.route.name.clone(),
            stage: "render",
            class: "render",
            text: error,
            ..Trouble::default()
        };
        self.settle(self.end(&job, outcome, now_ms, Some(trouble))).await?;
        Ok(None)
    }

    /// Signs a mail on a thread that nobody's I/O waits for.
    async fn sign(&self, signers: Signers, mut mail: Mail, now_ms: i64) -> Result<Mail, RenderError> {
        let _permit = self.desk.signing.acquire().await;
        let signing = tokio::task::spawn_blocking(move || {
            signers.sign(&mut mail.bytes, now_ms)?;
            Ok(mail)
        });
        signing.await.unwrap_or_else(|error| Err(RenderError::Other(error.to_string())))
    }

    /// Carries one mail, and every next one that is at hand, over one connection.
    async fn carry(&mut self, first: Ready) -> Result<(), Ended> {
        if first.job.gate.is_closed(self.desk.world.now_ms()) {
            return self.give_back(&first.job, first.job.row.was_due_at_ms).await;
        }
        let mut owed: Option<Settle> = None;
        let mut current = first;
        let mut opened = self.open(&current).await;
        loop {
            match opened {
                Ok(Opened::Ready) => {}
                Ok(Opened::Refused { stage, reply }) => {
                    return self.refused(owed, &current, stage, &reply).await;
                }
                Err(failure) => return self.not_opened(owed, &current, &failure).await,
            }
            let Some(mut connection) = self.connection.take() else { return Ok(()) };
            if let Err(failure) = self.send_content(&mut owed, &current, &mut connection).await? {
                return self.not_opened(owed, &current, &failure).await;
            }
            let armed_at = self.desk.world.boot_ms();
            if !self.arm(owed.take(), &current).await? {
                return Ok(());
            }
            if self.desk.world.boot_ms() - armed_at > self.desk.dot_after_arm_ms {
                return self.give_back(&current.job, self.desk.world.now_ms()).await;
            }
            self.count(&current.job);
            let next = self.ready.take_if(|next| !is_used_up(&self.carried, &self.link, &next.job));
            let envelope = next.as_ref().and_then(|next| envelope(&next.mail).ok());
            let finished = connection.finish(envelope.as_ref()).await;
            current.timer.stop();
            self.seats.answered();
            self.connection = Some(connection).filter(|connection| connection.is_clean() || next.is_some());
            owed = Some(self.outcome(&current.job, finished.reply));
            match (next, finished.next) {
                (Some(next), Some(result)) => {
                    current = next;
                    opened = result;
                }
                (Some(next), None) => {
                    self.settle(owed).await?;
                    return self.give_back(&next.job, self.desk.world.now_ms()).await;
                }
                (None, _) => return self.settle(owed).await,
            }
        }
    }

    /// Opens the envelope, over the connection at hand or a new one.
    async fn open(&mut self, ready: &Ready) -> Result<Opened, Failure> {
        let envelope = envelope(&ready.mail)?;
        if is_used_up(&self.carried, &self.link, &ready.job) {
            self.hang_up().await;
        }
        if let Some(mut connection) = self.connection.take()
            && connection.is_clean()
            && connection.is_alive()
        {
            let opened = connection.open_envelope(&envelope).await;
            self.connection = Some(connection);
            return opened;
        }
        let mut route = self.link.route.clone();
        route.pipelining &= !self.link.health.in_lockstep(self.desk.world.now_ms());
        self.carried.clear();
        let mut connection = tokio::select! {
            biased;
            opened = Connection::open(&route, &self.desk.tls) => opened?,
            () = hurried(&self.stop) => return Err(Failure::new(Stage::Connect, Kind::TimedOut)),
        };
        connection.hurry_when(self.stop.clone());
        let opened = connection.open_envelope(&envelope).await;
        self.connection = Some(connection);
        opened
    }

    /// Sends a mail's content. What is owed does not wait for a server that takes it slowly.
    async fn send_content(
        &self,
        owed: &mut Option<Settle>,
        ready: &Ready,
        connection: &mut Connection,
    ) -> Result<Result<(), Failure>, Ended> {
        let mut sending = std::pin::pin!(connection.send_content(&ready.mail.bytes));
        if let Ok(sent) = tokio::time::timeout(OWED_WAIT_MAX, &mut sending).await {
            return Ok(sent);
        }
        self.settle(owed.take()).await?;
        Ok(sending.await)
    }

    /// Hands in what is owed and asks for the dot, and renders the next mail meanwhile; `false`: not granted, and
    /// everything settled. The connection must be closed then, never with a lone dot, which would deliver an empty
    /// mail.
    async fn arm(&mut self, owed: Option<Settle>, ready: &Ready) -> Result<bool, Ended> {
        let job = &ready.job;
        let arm = Arm {
            run_id: job.run.run_id,
            id: job.row.id,
            attempt: job.row.attempt,
            variant: job.row.variant,
            generation: job.run.generation,
            mail_epoch: job.member.mail_epoch,
            addr_key: job.member.addr_key,
            scope: job.run.scope.clone(),
            template_version_id: job.run.versions[job.row.variant as usize].0,
            at_ms: self.desk.world.now_ms(),
            shown: ready.mail.shown.to_json(),
        };
        let turn = Turn { settle: owed.clone(), arm: Some(arm) };
        let wait = std::time::Duration::from_millis(self.desk.arm_wait_ms.max(1) as u64);
        let desk = self.desk.clone();
        let answer = tokio::time::timeout(wait, desk.turns.take(turn));
        let (answer, prepared) = tokio::join!(answer, self.prepare_next());
        prepared?;
        let (granted, written) = match answer {
            Ok(Ok(granted)) => (granted, true),
            Ok(Err(TurnError::Ended)) => return Err(Ended),
            Ok(Err(TurnError::NotWritten(_))) | Err(_) => (false, false),
        };
        if granted {
            return Ok(true);
        }
        if !written {
            self.settle(owed).await?;
        }
        // Whether or not the arm was written: no dot was, and the writer takes this after it.
        self.give_back(job, self.desk.world.now_ms()).await?;
        Ok(false)
    }

    /// What a mail's last reply, or its absence, means.
    fn outcome(&mut self, job: &Job, reply: Result<Reply, Failure>) -> Settle {
        let now_ms = self.desk.world.now_ms();
        let failure = match reply {
            Ok(reply) => {
                self.link.health.succeeded();
                self.link.health.reply_came();
                let said = mask_addresses(&clean(&reply.text, REMOTE_ID_BYTES_MAX));
                let remote_id = Some(said).filter(|text| !text.is_empty());
                return self.end(job, Outcome::Sent { remote_id }, now_ms, None);
            }
            Err(failure) => failure,
        };
        let judged = failure.reply().map(|reply| self.judge(job, failure.stage, reply));
        let outcome = match failure.reply() {
            Some(reply) if is_final(reply, judged) => Outcome::Bounced { why: "refused_content" },
            Some(reply) => self.put_off(job, reply, judged, now_ms),
            None if failure.in_doubt() => Outcome::Lost,
            None if matches!(failure.kind, Kind::Unfit(_)) => Outcome::Failed { why: "unfit" },
            None => Outcome::Released { due_at_ms: now_ms },
        };
        let is_hurry = failure.reply().is_some() && matches!(outcome, Outcome::Released { .. });
        if !is_hurry && !matches!(failure.kind, Kind::Unfit(_)) {
            self.note(&failure, now_ms);
        }
        self.end(job, outcome, now_ms, Some(self.trouble(&failure, judged)))
    }

    /// What a server's refusal means for this recipient.
    fn judge(&self, job: &Job, stage: Stage, reply: &Reply) -> Judged {
        let domain = job.member.email.rsplit_once('@').map_or("", |(_, domain)| domain);
        let step = match stage {
            Stage::Rcpt => Step::Rcpt,
            stage if stage > Stage::Rcpt => Step::Data,
            _ => Step::Before,
        };
        let (code, enhanced, text) = (Some(reply.code), reply.enhanced, reply.text.as_str());
        let said = Said { domain, code, enhanced, text, context: "", step: Some(step) };
        let rules = self.desk.replies.borrow().clone();
        rules.judge(&said)
    }

    /// The recipient, the sender or the content was refused before the dot: settle what is owed and this.
    async fn refused(&mut self, owed: Option<Settle>, ready: &Ready, stage: Stage, reply: &Reply) -> Result<(), Ended> {
        self.settle(owed).await?;
        let now_ms = self.desk.world.now_ms();
        // What a server thinks of our sender or of our hurry is nothing against the recipient.
        let judged = (stage != Stage::Mail).then(|| self.judge(&ready.job, stage, reply));
        let is_final = is_final(reply, judged);
        let outcome = match (stage, is_final) {
            (Stage::Mail, true) => Outcome::Failed { why: "sender_refused" },
            (Stage::Mail, false) => {
                self.link.health.failed(now_ms);
                Outcome::Released { due_at_ms: now_ms }
            }
            (Stage::Rcpt, true) => Outcome::Bounced { why: "refused_recipient" },
            (_, true) => Outcome::Bounced { why: "refused_content" },
            (_, false) => self.put_off(&ready.job, reply, judged, now_ms),
        };
        if !self.connection.as_ref().is_some_and(Connection::is_clean) {
            self.connection = None;
        }
        let failure = Failure { stage, kind: Kind::Refused(reply.clone()), dot_written: false };
        let trouble = self.trouble(&failure, judged);
        self.settle(self.end(&ready.job, outcome, now_ms, Some(trouble))).await
    }

    /// The envelope could not be opened, or the content not sent: nothing of this message was delivered.
    async fn not_opened(&mut self, owed: Option<Settle>, ready: &Ready, failure: &Failure) -> Result<(), Ended> {
        self.connection = None;
        self.settle(owed).await?;
        let now_ms = self.desk.world.now_ms();
        if matches!(failure.kind, Kind::Unfit(_)) && failure.stage >= Stage::Mail {
            let outcome = Outcome::Failed { why: "unfit" };
            return self.settle(self.end(&ready.job, outcome, now_ms, Some(self.trouble(failure, None)))).await;
        }
        if self.stop.is_cancelled() {
            return self.give_back(&ready.job, now_ms).await;
        }
        if let Some(reply) = failure.reply().filter(|_| failure.stage > Stage::Mail) {
            let judged = Some(self.judge(&ready.job, failure.stage, reply));
            if self.is_throttled(&ready.job, reply, judged, now_ms) {
                let (outcome, trouble) = (Outcome::Released { due_at_ms: now_ms }, self.trouble(failure, judged));
                return self.settle(self.end(&ready.job, outcome, now_ms, Some(trouble))).await;
            }
        }
        // A server may end a kept connection at any moment: only a new one that fails is a trouble of the route.
        let is_ended =
            !self.carried.is_empty() && failure.stage == Stage::Mail && !matches!(failure.kind, Kind::TimedOut);
        if !is_ended {
            self.note(failure, now_ms);
        }
        // Due at once: another route may take it while this one is left alone.
        self.settle(self.end(&ready.job, Outcome::Released { due_at_ms: now_ms }, now_ms, None)).await
    }

    /// Counts a failed conversation against the route.
    fn note(&self, failure: &Failure, now_ms: i64) {
        if failure.is_missing_reply() {
            self.link.health.reply_missing(now_ms);
        }
        let is_content = failure.stage == Stage::Dot && failure.reply().is_some_and(|reply| !reply.is_421());
        if is_content {
            return;
        }
        let was_up = self.link.health.is_up(now_ms);
        let retry_at_ms = self.link.health.failed(now_ms);
        if was_up {
            self.link.health.say(mask_addresses(&clean(&failure.to_string(), REMOTE_ID_BYTES_MAX)), now_ms);
            tracing::warn!(route = %self.link.route.name, %failure, pause_ms = retry_at_ms - now_ms, "route in trouble");
        }
    }

    /// A refusal for now: of this mail, or of all that its provider gets from us, which counts no try.
    fn put_off(&self, job: &Job, reply: &Reply, judged: Option<Judged>, now_ms: i64) -> Outcome {
        match self.is_throttled(job, reply, judged, now_ms) {
            true => Outcome::Released { due_at_ms: now_ms },
            false => self.deferred(job, now_ms),
        }
    }

    /// Whether a refusal says that its provider gets too much from us: then its gate is closed.
    fn is_throttled(&self, job: &Job, reply: &Reply, judged: Option<Judged>, now_ms: i64) -> bool {
        // X.2.X is about one mailbox (RFC 3463 §3.3), which may get too much mail by itself.
        judged.is_some_and(|judged| judged.class == ReplyClass::RateLimited)
            && reply.enhanced.is_none_or(|(_, subject, _)| subject != 2)
            && job.gate.throttled(&reply.text, now_ms)
    }

    /// Counts a mail against what a connection may carry.
    fn count(&mut self, job: &Job) {
        match self.carried.iter_mut().find(|(provider, _)| *provider == job.row.provider_id) {
            Some((_, n)) => *n += 1,
            None => self.carried.push((job.row.provider_id, 1)),
        }
    }

    fn deferred(&self, job: &Job, now_ms: i64) -> Outcome {
        let due = job.run.retry.due_after(job.row.tries + 1, job.row.id, job.run.started_at_ms, now_ms);
        due.map_or(Outcome::Failed { why: "given_up" }, |due_at_ms| Outcome::Deferred { due_at_ms })
    }

    fn trouble(&self, failure: &Failure, judged: Option<Judged>) -> Trouble {
        let reply = failure.reply();
        Trouble {
            route: self.link.route.name.clone(),
            stage: failure.stage.as_str(),
            class: match &failure.kind {
                Kind::Refused(_) => judged.map_or("refused", |judged| judged.class.as_str()),
                Kind::Lost(_) => "lost",
                Kind::TimedOut => "timed_out",
                Kind::Protocol(_) => "protocol",
                Kind::Unfit(_) => "unfit",
            },
            code: reply.map(|reply| reply.code),
            enhanced: reply.and_then(Reply::enhanced_text),
            text: reply.map_or_else(|| failure.kind.to_string(), |reply| reply.text.clone()),
            against: judged.and_then(|judged| Some((judged.class, judged.threshold?))),
        }
    }

    async fn give_back(&self, job: &Job, due_at_ms: i64) -> Result<(), Ended> {
        self.settle(self.end(job, Outcome::Released { due_at_ms }, self.desk.world.now_ms(), None)).await
    }

    /// The settle of a job's attempt, counted.
    fn end(&self, job: &Job, outcome: Outcome, at_ms: i64, trouble: Option<Trouble>) -> Settle {
        self.link.tally.ended(job, &outcome);
        let Claimed { id, attempt, variant, .. } = job.row;
        Settle { run_id: job.run.run_id, id, attempt, variant, outcome, at_ms, trouble }
    }

    async fn settle(&self, settle: impl Into<Option<Settle>>) -> Result<(), Ended> {
        match settle.into() {
            Some(settle) => Ok(self.desk.turns.settle(Turn { settle: Some(settle), arm: None }).await?),
            None => Ok(()),
        }
    }
}

/// Whether a refusal ends the message: a 5xx, unless it only says that we were too fast, which some providers do.
fn is_final(reply: &Reply, judged: Option<Judged>) -> bool {
    reply.permanent() && judged.is_none_or(|judged| judged.class != ReplyClass::RateLimited)
}

/// Whether a connection that has carried this much may carry no more of a job's provider, or nothing at all.
fn is_used_up(carried: &[(i64, u32)], link: &RouteLink, job: &Job) -> bool {
    let own = carried.iter().find(|(provider, _)| *provider == job.row.provider_id).map_or(0, |(_, n)| *n);
    let all: u32 = carried.iter().map(|(_, n)| n).sum();
    let reached = |max: Option<u32>, n| max.is_some_and(|max| n >= max);
    reached(job.gate.pace.mails_per_connection, own) || reached(link.mails_per_connection, all)
}

fn envelope(mail: &Mail) -> Result<Envelope<'_>, Failure> {
    Envelope::new(&mail.envelope_from, &mail.envelope_to)
}
