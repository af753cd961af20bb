//! The daemon: everything wired together, started in order, stopped in order.
//!
//! The first SIGTERM or SIGINT drains: nothing more is claimed, what is under way finishes, the epoch ends with nothing
//! in doubt. A second one, or the end of `[shutdown] drain`, stops at once: what was armed is then in doubt.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::alert::{self, Tell};
use super::alone::Alone;
use super::bell::{Bell, RouteWatch, Watched};
use super::cli::{Failure, Session};
use super::config::{Config, Route};
use super::dkim;
use super::engine::Engine;
use super::high_water::HighWater;
use super::hooks;
use super::inbound::{Door, Maildir};
use super::library::{Shelf, render_sender};
use super::lock::StateLock;
use super::mailbox::RunningMailbox;
use super::mailboxes::{self, Mailbox as OtherMailbox};
use super::processors;
use super::reply_rules::ReplyRules;
use super::routes;
use super::shaping;
use super::signup;
use super::tag_rules::tag_rules;
use super::ticks::{Breakers, Classify, Disk, Dispatching, Fold, Gauges, Learn, Plan, Relate, Room, WENT_BACK, Watch};
use super::workers::{Crew, Worker, repeat};
use crate::base::World;
use crate::base::metrics::Metrics;
use crate::base::token::Keyring;
use crate::domain::address::AddrSecret;
use crate::domain::tagging::Rules;
use crate::domain::touch::Agents;
use crate::flow::bounce;
use crate::flow::courier::{Courier, Desk};
use crate::flow::dispatch::Dispatch;
use crate::flow::editions::Editions;
use crate::flow::handover::RouteLink;
use crate::flow::plan::{self, Terms};
use crate::flow::track;
use crate::flow::web_version::WebVersions;
use crate::queue::enqueue::Manner;
use crate::queue::{Turns, recover};
use crate::smtp::TlsConfigs;
use crate::smtp::listener::{self, Limits};
use crate::smtp::mailbox::Mailbox;
use crate::store::checkpoint::Checkpoints;
use crate::store::{Db, Lane, StoreError, daemon, gate, setting};
use crate::web::Pages;
use crate::web::admin::{self, AdminState};
use crate::web::client::TrustedProxies;
use crate::web::public::{self, Certificates, Hook, Hooks, PublicState, SignupForm};

/// How soon after an event its tags are there, at most.
const LEARN_IDLE: Duration = Duration::from_millis(200);
/// How often, in the time after which a class is final, the classes of a piece become so.
const CLASSIFY_PIECES: u64 = 15;
/// How soon dispatch looks again when it found nothing to do.
const DISPATCH_IDLE: Duration = Duration::from_millis(2);
/// How soon a change of a file of rules is noticed.
const RULES_LOOK: Duration = Duration::from_secs(1);
/// How often the breakers look at what came back.
const BREAKERS_LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody is to be told something.
const TELL_LOOK: Duration = Duration::from_millis(500);
/// How often, in the time that a sign-up may be confirmed, those are looked for that nobody did.
const LAPSE_LOOKS: i64 = 10;

/// What the first line of stdout says.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    pub ready: bool,
    pub http: String,
    pub admin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox_smtp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<String>,
    pub pid: u32,
}

/// A running daemon.
pub struct Daemon {
    pub ready: Ready,
    pub shelf: Shelf,
    session: Session,
    epoch: i64,
    /// Cancelled: drain.
    soft: CancellationToken,
    /// Cancelled when nothing is sent any more: what others stand on ends.
    late: CancellationToken,
    crew: Crew,
    /// Ends when everything that can hand in a turn or a touch has ended.
    writers: Crew,
    mailbox: Option<RunningMailbox>,
    signals: Signals,
    _lock: Option<StateLock>,
}

/// What start-up hands from step to step.
struct Base {
    db: Db,
    world: World,
    config: Arc<Config>,
    keyring: Arc<Keyring>,
    metrics: Metrics,
    epoch: i64,
    clocks_agree: Arc<AtomicBool>,
    bell: Bell,
    soft: CancellationToken,
    late: CancellationToken,
}

/// What the admin pages know besides the database.
struct Known {
    secret: AddrSecret,
    rules: Arc<Rules>,
    mailbox: Option<Arc<Mailbox>>,
    admin_url: String,
    shop: Option<axum::Router>,
    /// What sent mails are shown again from.
    editions: Editions,
    replies: watch::Receiver<Arc<crate::domain::bounce::Rules>>,
    hooks: Vec<Hook>,
    signup: Option<SignupForm>,
}

impl Daemon {
    /// Starts everything and returns when every listener listens. The pages of a `shop` are served beside the admin
    /// ones.
    ///
    /// # Errors
    /// Whatever cannot be had: the lock, a key, a listener, a password file.
    ///
    /// # Crash
    /// A daemon that dies in here has an epoch that owns nothing.
    pub async fn start(session: &Session, shop: Option<axum::Router>) -> Result<Daemon, Failure> {
        let config = session.config.clone();
        // Before anybody is told that we are ready: a signal to a ready daemon drains it.
        let signals = Signals::new()?;
        let lock = session.db.sqlite_path().map(StateLock::take).transpose()?;
        let keyring = Arc::new(session.keyring()?);
        let http = listen(config.http.listen, "[http] listen").await?;
        let admin = listen(config.admin.listen, "[admin] listen").await?;
        let (http_addr, admin_addr) = (local(&http)?, local(&admin)?);
        let public_url = config.http.public_url.clone().unwrap_or_else(|| format!("http://{http_addr}"));
        let providers = routes::provider_table(&config)?;
        let replies = ReplyRules::load(&config)?;
        let epoch = begin_epoch(session, lock.is_some()).await?;
        let base = Base {
            db: session.db.clone(),
            world: session.world.clone(),
            config: config.clone(),
            keyring,
            metrics: Metrics::new(),
            epoch,
            clocks_agree: Arc::new(AtomicBool::new(true)),
            bell: Bell::new(session.db.clone(), &config),
            soft: CancellationToken::new(),
            late: CancellationToken::new(),
        };
        let shelf = Shelf::new(base.db.clone(), base.world.clone(), config.clone(), providers, public_url.clone())?
            .signing(dkim::signers(&config)?)
            .with_alone(Alone::new(&config)?)
            .with_engine(Engine::configured(&config, &base.world));
        let (mut crew, mut writers) = (Crew::default(), Crew::default());
        let mailbox = match config.routes.is_empty() {
            true => Some(RunningMailbox::start(&config.mailbox, base.world.clone(), base.late.clone()).await?),
            false => None,
        };
        let links = routes::links(&config, &base.metrics, &shelf, mailbox.as_ref())?;
        let turns = base.turns(&mut writers).await?;
        base.tell(&mut crew, &links, &shelf)?;
        base.send(&mut crew, links, &shelf, turns, &replies);
        let rules_of_replies = replies.current();
        let inbound = base.take_in(&mut crew, &mut writers, replies.current()).await?;
        base.reread(&mut crew, replies);
        base.watch(&mut writers, &shelf, lock.is_none());
        let rules = Arc::new(tag_rules(&config)?);
        base.learn(&mut crew, rules.clone());
        let secret = base.secret().await?;
        let signup = signup::form(&config, secret.clone(), &base.db, base.world.now_ms()).await?;
        let known = Known {
            secret,
            rules,
            mailbox: mailbox.as_ref().map(|mailbox| mailbox.mailbox.clone()),
            admin_url: format!("http://{admin_addr}"),
            shop,
            editions: shelf.editions(),
            replies: rules_of_replies,
            hooks: hooks::hooks(&config)?,
            signup,
        };
        base.listen(&mut writers, [http, admin], &public_url, known);
        let ready = Ready {
            ready: true,
            http: format!("http://{http_addr}"),
            admin: format!("http://{admin_addr}"),
            mailbox_smtp: mailbox.as_ref().map(|mailbox| mailbox.address.to_string()),
            inbound: inbound.map(|address| address.to_string()),
            pid: std::process::id(),
        };
        let (soft, late) = (base.soft, base.late);
        let session = session.clone();
        Ok(Daemon { ready, shelf, session, epoch, soft, late, crew, writers, mailbox, signals, _lock: lock })
    }

    /// Serves until told to stop, then drains.
    ///
    /// # Errors
    /// When a worker panicked, or what was under way did not finish in time.
    pub async fn serve(mut self) -> Result<(), Failure> {
        let drain = Duration::from_millis(self.session.config.shutdown.drain_ms.unsigned_abs());
        let mut signals = self.signals;
        let soft = self.soft.clone();
        let broke = tokio::select! {
            // Told to drain, workers end one after the other: that is no breakdown.
            biased;
            () = soft.cancelled() => None,
            () = signals.next() => None,
            ended = self.crew.next() => Some(ended).filter(|ended| !(soft.is_cancelled() && matches!(ended, Some(Ok(_))))),
        };
        self.soft.cancel();
        if let Some(ended) = broke {
            return Err(Failure::new(format!("a worker ended: {ended:?}; the next start recovers what it held")));
        }
        tracing::info!(drain_ms = drain.as_millis() as u64, "draining: finishing what is under way");
        let drained = tokio::select! {
            drained = self.crew.finish(drain) => drained,
            () = signals.next() => false,
        };
        if !drained {
            return Err(Failure::new("stopped before everything under way had finished; what was armed is in doubt"));
        }
        self.late.cancel();
        if let Some(mailbox) = self.mailbox {
            let _ = mailbox.task.await;
        }
        self.writers.finish(drain).await;
        let mut tx = self.session.db.begin(Lane::Turn).await?;
        daemon::end(tx.conn(), self.epoch, self.session.now_ms()).await?;
        let turn_no = daemon::turn_no(tx.conn(), self.epoch).await?;
        tx.commit().await?;
        if let Some(turn_no) = turn_no {
            HighWater::new(&self.session.config.state_folder(), self.epoch).raise(turn_no)?;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Whether the database knows less than the last daemon here saw it commit.
async fn went_back(session: &Session) -> Result<bool, Failure> {
    let folder = session.config.state_folder();
    let last = HighWater::last(&folder).map_err(|error| {
        Failure::new(format!("could not read the high-water mark in {}: {error}", folder.display()))
            .fix("if the database was not restored from a copy, delete the file high-water there")
    })?;
    let Some(last) = last else { return Ok(false) };
    let mut reader = session.db.reader().await?;
    let known = daemon::turn_no(reader.conn(), last.epoch).await?;
    Ok(known.is_none_or(|known| known < last.turn_no))
}

/// A new epoch. On SQLite the lock proves every earlier daemon dead: what they held is recovered here and now.
async fn begin_epoch(session: &Session, alone: bool) -> Result<i64, Failure> {
    let now_ms = session.now_ms();
    if went_back(session).await? {
        tracing::error!("{WENT_BACK}");
        plan::doubt_all(&session.db, &alert::ways(&session.config), WENT_BACK, now_ms).await?;
    }
    let mut tx = session.db.begin(Lane::Turn).await?;
    if alone {
        daemon::reap(tx.conn(), i64::MAX, now_ms).await?;
    }
    let epoch = daemon::start(tx.conn(), &routes::host_name(), i64::from(std::process::id()), now_ms).await?;
    gate::forget_the_ended(tx.conn()).await?;
    tx.commit().await?;
    if alone {
        while recover_piece(&session.db, epoch, now_ms).await? {}
    }
    Ok(epoch)
}

pub(super) async fn recover_piece(db: &Db, epoch: i64, now_ms: i64) -> Result<bool, StoreError> {
    let mut tx = db.begin_by_key(Lane::Turn).await?;
    let recovered = recover::recover(tx.conn(), epoch, now_ms).await?;
    tx.commit().await?;
    if recovered.queued + recovered.in_doubt > 0 {
        tracing::warn!(queued = recovered.queued, in_doubt = recovered.in_doubt, "took back what a dead daemon held");
    }
    Ok(recovered.is_full())
}

impl Base {
    /// What addresses are hashed with.
    async fn secret(&self) -> Result<AddrSecret, StoreError> {
        let mut tx = self.db.begin(Lane::Bulk).await?;
        let secret = setting::addr_secret(tx.conn(), &self.world).await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// The writers of turns, and on SQLite what keeps the log short that they write to.
    async fn turns(&self, writers: &mut Crew) -> Result<Turns, StoreError> {
        let metrics = self.metrics.clone();
        let committed = move |_, took| metrics.turn_commit.observe(took);
        let (turns, lines) = Turns::new(self.db.clone(), self.epoch, committed);
        let leaves_one = self.db.sqlite_path().is_some();
        for line in lines {
            writers.spawn_alone("writer", async move {
                if leaves_one {
                    processors::leave_one();
                }
                line.await;
            });
        }
        if let Some(checkpoints) = Checkpoints::of(&self.db).await? {
            let (late, mut fold) = (self.late.clone(), Fold(checkpoints));
            writers.spawn("fold", async move { repeat("fold", late, Checkpoints::EVERY, &mut fold).await });
        }
        Ok(turns)
    }

    /// Plan, dispatch and couriers.
    fn send(&self, crew: &mut Crew, links: Vec<Arc<RouteLink>>, shelf: &Shelf, turns: Turns, replies: &ReplyRules) {
        let queue = &self.config.queue;
        let (tls, refused) = TlsConfigs::native();
        for why in refused {
            tracing::warn!("a root certificate of this machine is of no use: {why}");
        }
        let desk = Arc::new(Desk {
            world: self.world.clone(),
            turns: turns.clone(),
            keyring: self.keyring.clone(),
            tls,
            replies: replies.current(),
            signing: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            arm_wait_ms: queue.arm_wait_ms,
            dot_after_arm_ms: queue.dot_after_arm_ms,
            idle: Duration::from_millis(self.config.smtp.idle_ms.unsigned_abs()),
        });
        for link in &links {
            for _ in 0..link.connections {
                crew.spawn("courier", Courier::new(desk.clone(), link.clone(), self.soft.clone()).work());
            }
        }
        let ids = (self.db.clone(), self.world.clone(), self.epoch);
        let bounds = (queue.claim_batch_max as usize, queue.active_max as usize);
        let dispatch = Dispatch::new(ids, turns, shelf.clone(), links, bounds);
        let poll = Duration::from_millis(queue.poll_ms.unsigned_abs());
        let disk = Disk::new(self.db.clone(), self.config.disk.reserve_bytes, self.bell.clone());
        let mut dispatching = Dispatching::new(dispatch, poll, disk, self.clocks_agree.clone(), self.soft.clone());
        let soft = self.soft.clone();
        crew.spawn_apart("dispatch", async move {
            repeat("dispatch", soft, DISPATCH_IDLE, &mut dispatching).await;
            dispatching.dispatch.stop().await;
        });
        let retry = &self.config.retry;
        let terms = Terms {
            epoch: self.epoch,
            ttl_marketing_ms: retry.ttl_ms,
            ttl_transactional_ms: retry.ttl_transactional_ms,
            manner: Manner {
                sunset_ms: self.config.consent.sunset_after_ms,
                engaged_first: self.config.routes.iter().any(Route::warms_up),
            },
        };
        let (stop, every_ms) = (self.soft.clone(), self.config.recommend.build_every_ms);
        let mut relate = Relate { db: self.db.clone(), world: self.world.clone(), every_ms, stop };
        let (soft, idle) = (self.soft.clone(), Duration::from_millis(every_ms.clamp(100, 60_000).unsigned_abs()));
        crew.spawn("relate", async move { repeat("relate", soft, idle, &mut relate).await });
        let (db, world, bell) = (self.db.clone(), self.world.clone(), self.bell.clone());
        let mut breakers = Breakers { db, world, limits: self.config.breaker.0, bell };
        let soft = self.soft.clone();
        crew.spawn("breakers", async move { repeat("breakers", soft, BREAKERS_LOOK, &mut breakers).await });
        let bell = self.bell.clone();
        let mut plan =
            self.watched("moving campaigns on", Plan { db: self.db.clone(), world: self.world.clone(), terms, bell });
        let soft = self.soft.clone();
        crew.spawn("plan", async move { repeat("plan", soft, poll, &mut plan).await });
    }

    /// Work whose failures people are told of when they last.
    fn watched<W: Worker>(&self, about: &str, work: W) -> Watched<W> {
        Watched::new(about, work, &self.bell, &self.world)
    }

    /// Tells people what was stopped by itself, and of routes that are down.
    fn tell(&self, crew: &mut Crew, links: &[Arc<RouteLink>], shelf: &Shelf) -> Result<(), Failure> {
        let base = (self.db.clone(), self.world.clone(), self.keyring.clone());
        if let Some(mut tell) = Tell::of(&self.config, base, shelf, links)? {
            let soft = self.soft.clone();
            crew.spawn("tell", async move { repeat("tell", soft, TELL_LOOK, &mut tell).await });
            let (soft, mut routes) = (self.soft.clone(), RouteWatch::new(links, &self.bell, &self.world));
            crew.spawn("routes", async move { repeat("routes", soft, RouteWatch::LOOK, &mut routes).await });
        }
        Ok(())
    }

    fn watch(&self, crew: &mut Crew, shelf: &Shelf, shared: bool) {
        shaping::keep_gates(crew, shelf.gates(), self.epoch, self.late.clone());
        let mut watch = Watch {
            db: self.db.clone(),
            world: self.world.clone(),
            epoch: self.epoch,
            dead_after_ms: shared.then_some(self.config.queue.dead_after_ms),
            beats: 0,
            drain: self.soft.clone(),
            high_water: HighWater::new(&self.config.state_folder(), self.epoch),
            clocks_agree: self.clocks_agree.clone(),
            bell: self.bell.clone(),
        };
        let beat = Duration::from_millis(self.config.queue.beat_ms.unsigned_abs());
        // It beats on while others drain: a daemon that finishes its work is not dead.
        let late = self.late.clone();
        crew.spawn("watch", async move { repeat("watch", late, beat, &mut watch).await });
        let (db, world) = (self.db.clone(), self.world.clone());
        shaping::look_up_servers(crew, &self.config, (db, world, self.epoch), shelf.providers(), self.soft.clone());
        let mut gauges = Gauges { db: self.db.clone(), metrics: self.metrics.clone() };
        let late = self.late.clone();
        crew.spawn("gauges", async move { repeat("gauges", late, Gauges::LOOK, &mut gauges).await });
        let mut room = Room { db: self.db.clone(), world: self.world.clone() };
        let late = self.late.clone();
        crew.spawn("room", async move { repeat("room", late, Room::LOOK, &mut room).await });
    }

    /// Takes in what comes back; says where it is listened for.
    async fn take_in(
        &self,
        crew: &mut Crew,
        writers: &mut Crew,
        rules: watch::Receiver<Arc<crate::domain::bounce::Rules>>,
    ) -> Result<Option<SocketAddr>, Failure> {
        let inbound = &self.config.inbound;
        let desk = bounce::Desk { db: self.db.clone(), keys: self.keyring.clone(), reader: Default::default(), rules };
        if let Some(folder) = inbound.maildir.clone() {
            let (desk, world) = (desk.clone(), self.world.clone());
            let about = format!("the Maildir {}", folder.display());
            let maildir = Maildir { desk, world, folder, mail_bytes_max: inbound.mail_bytes_max };
            let mut maildir = self.watched(&about, maildir);
            let (soft, poll) = (self.soft.clone(), Duration::from_millis(inbound.poll_ms.unsigned_abs()));
            crew.spawn("maildir", async move { repeat("maildir", soft, poll, &mut maildir).await });
        }
        self.take_out(crew, &desk)?;
        let Some(address) = inbound.listen else { return Ok(None) };
        let listener = listen(address, "[inbound] listen").await?;
        let bound = local(&listener)?;
        let door = Door { desk, world: self.world.clone(), domains: Door::domains(&self.config) };
        let limits = Limits { mail_bytes_max: inbound.mail_bytes_max as usize, ..Limits::default() };
        writers.spawn("inbound", listener::serve(listener, Arc::new(door), limits, self.late.clone()));
        Ok(Some(bound))
    }

    /// Takes what comes back out of other systems' mailboxes.
    fn take_out(&self, crew: &mut Crew, desk: &bounce::Desk) -> Result<(), Failure> {
        let configured = &self.config.inbound.mailboxes;
        if configured.is_empty() {
            return Ok(());
        }
        let tls = Arc::new(TlsConfigs::native().0);
        for one in configured {
            let (name, account) = (one.name(), mailboxes::account(&self.config, one)?);
            let about = format!("the mailbox {name}");
            let mailbox =
                OtherMailbox { name, account, desk: desk.clone(), world: self.world.clone(), tls: tls.clone() };
            let mut mailbox = self.watched(&about, mailbox);
            let (soft, poll) = (self.soft.clone(), Duration::from_millis(one.poll_ms.unsigned_abs()));
            crew.spawn("mailbox", async move { repeat("mailbox", soft, poll, &mut mailbox).await });
        }
        Ok(())
    }

    /// Reads the files again that may change under a running daemon.
    fn reread(&self, crew: &mut Crew, mut replies: ReplyRules) {
        let soft = self.soft.clone();
        crew.spawn("rules", async move { repeat("rules", soft, RULES_LOOK, &mut replies).await });
    }

    fn learn(&self, crew: &mut Crew, rules: Arc<Rules>) {
        let mut lapse = signup::Lapse { db: self.db.clone(), world: self.world.clone() };
        let soft = self.soft.clone();
        let idle = Duration::from_millis((self.config.signup.valid_ms / LAPSE_LOOKS).clamp(100, 60_000).unsigned_abs());
        crew.spawn("lapse", async move { repeat("lapse", soft, idle, &mut lapse).await });
        let learn = Learn { db: self.db.clone(), world: self.world.clone(), rules, metrics: self.metrics.clone() };
        let mut learn = self.watched("learning from events", learn);
        let soft = self.soft.clone();
        crew.spawn("learn", async move { repeat("learn", soft, LEARN_IDLE, &mut learn).await });
        let final_after_ms = self.config.tracking.final_after_ms;
        let agents = Arc::new(Agents::default());
        let mut classify = Classify { db: self.db.clone(), world: self.world.clone(), agents, final_after_ms };
        // Each piece looks at what is around it: fewer, larger pieces cost less.
        let idle = Duration::from_millis(final_after_ms.unsigned_abs() / CLASSIFY_PIECES);
        let soft = self.soft.clone();
        crew.spawn("classify", async move { repeat("classify", soft, idle, &mut classify).await });
    }

    /// The two listeners. They serve while others drain: a page that is asked for is answered to the end.
    fn listen(&self, writers: &mut Crew, [http, admin]: [TcpListener; 2], public_url: &str, known: Known) {
        let (tracker, writer) = track::tracker(self.db.clone(), self.metrics.clone());
        writers.spawn_apart("tracker", writer.run());
        let tellings = bounce::Tellings {
            db: self.db.clone(),
            keys: self.keyring.clone(),
            rules: known.replies,
            secret: known.secret.clone(),
        };
        let state = PublicState {
            db: self.db.clone(),
            world: self.world.clone(),
            keys: self.keyring.clone(),
            tracker,
            metrics: self.metrics.clone(),
            pages: Pages::new(),
            agents: Agents::default(),
            web_versions: WebVersions::new(
                self.db.clone(),
                known.editions,
                self.keyring.clone(),
                self.config.senders.iter().map(render_sender).collect(),
                public_url.to_owned(),
            ),
            proxies: TrustedProxies::new(self.config.http.trusted_proxies.clone()),
            bounds: Default::default(),
            hooks: Hooks::new(known.hooks, tellings).fetching(Certificates::new(TlsConfigs::native().0.shared())),
            signup: known.signup,
            shop: known.shop.as_ref().map(|_| known.admin_url.clone()),
        };
        writers.spawn("http", public::serve(http, state, self.late.clone()));
        let state = AdminState {
            db: self.db.clone(),
            world: self.world.clone(),
            metrics: self.metrics.clone(),
            pages: Pages::new(),
            secret: known.secret,
            rules: known.rules,
            mailbox: known.mailbox,
            draining: self.soft.clone(),
            hosts: Vec::new(),
            extra: known.shop.unwrap_or_default(),
        };
        writers.spawn("admin", admin::serve(admin, state, self.late.clone()));
    }
}

async fn listen(addr: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(addr).await.map_err(|error| {
        Failure::new(format!("could not listen on {addr} ({key}): {error}"))
            .fix("stop what listens there, or write another port; 0 takes any free one")
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::new(format!("a listener has no address: {error}")))
}

/// SIGTERM and SIGINT.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Failure::new(format!("could not listen for signals: {error}"));
        Ok(Signals {
            term: signal(SignalKind::terminate()).map_err(failed)?,
            int: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
