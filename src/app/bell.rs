//! What tells people of troubles that last: a route that is down, work that keeps failing.

use std::sync::Arc;
use std::time::Duration;

use super::alert;
use super::config::Config;
use super::workers::Worker;
use crate::base::World;
use crate::base::text::clean;
use crate::domain::alert::{Alert, AlertKind, ToldOn, Ways};
use crate::flow::handover::RouteLink;
use crate::store::{Db, Lane, StoreError, alert as outbox};

/// Longest reason that is told, bytes.
const WHY_BYTES_MAX: usize = 500;

/// Writes down what people are to be told, where anybody is.
#[derive(Clone)]
pub struct Bell {
    db: Db,
    ways: Arc<Ways>,
    /// How long a trouble lasts before it is told, milliseconds.
    after_ms: i64,
}

impl Bell {
    pub fn new(db: Db, config: &Config) -> Bell {
        Bell { db, ways: alert::ways(config).into(), after_ms: config.alert.after_ms }
    }

    pub fn ways(&self) -> &Ways {
        &self.ways
    }

    /// Writes an alert down. That it cannot be is logged: whoever rings has other things to do.
    pub async fn ring(&self, alert: &Alert, now_ms: i64) {
        if let Err(error) = self.write(alert, now_ms).await {
            tracing::warn!(%error, "what people are to be told was not written down: {error}");
        }
    }

    async fn write(&self, alert: &Alert, now_ms: i64) -> Result<(), StoreError> {
        if self.ways.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin(Lane::Bulk).await?;
        outbox::add(tx.conn(), alert, &self.ways, now_ms).await?;
        tx.commit().await
    }

    /// Tells of a trouble, if there is one since long enough and nobody was told today. What cannot be written down, as
    /// when the trouble is the database's own, is tried again the next time it is looked at.
    async fn tell(&self, told: &mut ToldOn, since_ms: Option<i64>, now_ms: i64, alert: impl FnOnce() -> Alert) {
        if told.is_due(since_ms, self.after_ms, now_ms) && self.write(&alert(), now_ms).await.is_ok() {
            told.told(now_ms);
        }
    }
}

/// Work of the daemon; when it keeps failing, a person is told.
pub struct Watched<W> {
    work: W,
    /// What it is called.
    about: String,
    bell: Bell,
    world: World,
    since_ms: Option<i64>,
    told: ToldOn,
}

impl<W: Worker> Watched<W> {
    pub fn new(about: &str, work: W, bell: &Bell, world: &World) -> Watched<W> {
        let (about, bell, world) = (about.to_owned(), bell.clone(), world.clone());
        Watched { work, about, bell, world, since_ms: None, told: ToldOn::default() }
    }
}

impl<W: Worker> Worker for Watched<W> {
    type Error = W::Error;

    async fn tick(&mut self) -> Result<bool, W::Error> {
        let done = self.work.tick().await;
        let Some(why) = done.as_ref().err().map(|error| clean(&error.to_string(), WHY_BYTES_MAX)) else {
            self.since_ms = None;
            return done;
        };
        let now_ms = self.world.now_ms();
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let about = &self.about;
        let alert = || {
            let minutes = (now_ms - since_ms) / 60_000;
            let body = format!("{about} has failed for {minutes} minutes, and is tried again and again: {why}");
            Alert::of_today(AlertKind::WorkFailing, about, format!("{about} keeps failing"), body, now_ms)
        };
        self.bell.tell(&mut self.told, Some(since_ms), now_ms, alert).await;
        done
    }
}

/// Looks whether routes are down.
pub struct RouteWatch {
    routes: Vec<(Arc<RouteLink>, ToldOn)>,
    bell: Bell,
    world: World,
}

impl RouteWatch {
    /// How often.
    pub const LOOK: Duration = Duration::from_millis(500);

    pub fn new(links: &[Arc<RouteLink>], bell: &Bell, world: &World) -> RouteWatch {
        let routes = links.iter().map(|link| (link.clone(), ToldOn::default())).collect();
        RouteWatch { routes, bell: bell.clone(), world: world.clone() }
    }
}

impl Worker for RouteWatch {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        let now_ms = self.world.now_ms();
        for (link, told) in &mut self.routes {
            let Some((since_ms, why)) = link.health.trouble(now_ms) else { continue };
            let name = &link.route.name;
            let alert = || {
                let minutes = (now_ms - since_ms) / 60_000;
                let body = format!(
                    "Nothing has gone over route {name} for {minutes} minutes: {why}. Its mail waits, or takes other routes. \
                     What to do: look whether its server runs, and whether [[route]] has the right name and password"
                );
                Alert::of_today(AlertKind::RouteDown, name, format!("Route {name} is down"), body, now_ms)
            };
            self.bell.tell(told, Some(since_ms), now_ms, alert).await;
        }
        Ok(false)
    }
}
