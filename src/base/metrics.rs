//! What the daemon counts and times, in one handle that is cheap to clone and passed by argument.
//!
//! Names follow Prometheus: base units, `_total` for counters (added by the encoder). Labels are few and bounded:
//! states, routes, provider groups; never a member, a message or an address.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the duration histograms, seconds: from a fast fsync to a slow server.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0];
/// Upper bounds of the batch sizes.
const SIZES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// What became of a message, by the route and provider it went to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Settled {
    pub state: &'static str,
    pub route: Arc<str>,
    pub provider: Arc<str>,
}

/// What came back, by kind and class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Touched {
    pub kind: &'static str,
    pub class: &'static str,
}

/// One answer of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    pub page: &'static str,
    pub status: u16,
}

/// Rows of the queue by state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Standing {
    pub state: &'static str,
}

/// Every instrument of the daemon.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Messages settled, by outcome.
    pub settled: Family<Settled, Counter>,
    /// One commit of the send queue: settle and arm.
    pub turn_commit: Stopwatch,
    /// One message from its rendering to the last reply it got.
    pub delivery: Stopwatch,
    standing: Family<Standing, Gauge>,
    /// One commit of what came back.
    pub track_commit: Stopwatch,
    pub track_batch: Histogram,
    touches: Family<Touched, Counter>,
    answers: Family<Answered, Counter>,
    /// Open connections of the public listener.
    pub connections: Gauge,
    /// Events learned from, and those waiting to be.
    pub learned: Counter,
    pub unlearned: Gauge,
}

/// A histogram of durations.
#[derive(Clone)]
pub struct Stopwatch(Histogram);

/// A duration being taken; dropped without [`Timer::stop`] it counts nothing.
#[must_use]
pub struct Timer(Stopwatch, Instant);

impl Stopwatch {
    pub fn start(&self) -> Timer {
        Timer(self.clone(), Instant::now())
    }

    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

impl Timer {
    pub fn stop(self) {
        self.0.observe(self.1.elapsed());
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Fresh instruments, all at zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("indicia");
        let stopwatch = || Stopwatch(Histogram::new(SECONDS));
        let (turn_commit, delivery, track_commit) = (stopwatch(), stopwatch(), stopwatch());
        let (settled, touches, answers) = (Family::default(), Family::default(), Family::default());
        let (standing, connections, unlearned) = (Family::default(), Gauge::default(), Gauge::default());
        let (learned, track_batch) = (Counter::default(), Histogram::new(SIZES));
        registry.register("messages", "Messages settled, by outcome, route and provider", settled.clone());
        registry.register("queue_messages", "Messages in the queue, by state", standing.clone());
        registry.register("turn_commit_seconds", "Commits of the send queue", turn_commit.0.clone());
        registry.register("delivery_seconds", "Deliveries from rendering to the last reply", delivery.0.clone());
        registry.register("track_commit_seconds", "Commits of opens and clicks", track_commit.0.clone());
        registry.register("track_batch_touches", "Opens and clicks per commit", track_batch.clone());
        registry.register("touches", "Opens, clicks, unsubscribes, by kind and class", touches.clone());
        registry.register("http_answers", "Answers of the public listener", answers.clone());
        registry.register("http_connections", "Open connections of the public listener", connections.clone());
        registry.register("learned_events", "Events and clicks learned from", learned.clone());
        registry.register("unlearned_events", "Events and clicks waiting to be learned from", unlearned.clone());
        let registry = Arc::new(registry);
        Metrics {
            registry,
            settled,
            turn_commit,
            delivery,
            standing,
            track_commit,
            track_batch,
            touches,
            answers,
            connections,
            learned,
            unlearned,
        }
    }

    /// Counts one message settled.
    pub fn settle(&self, state: &'static str, route: &Arc<str>, provider: &Arc<str>) {
        let labels = Settled { state, route: route.clone(), provider: provider.clone() };
        self.settled.get_or_create(&labels).inc();
    }

    /// Says how many messages stand in a state now.
    pub fn stand(&self, state: &'static str, n: i64) {
        self.standing.get_or_create(&Standing { state }).set(n);
    }

    /// Counts `n` touches that became durable.
    pub fn touched(&self, kind: &'static str, class: &'static str, n: u64) {
        self.touches.get_or_create(&Touched { kind, class }).inc_by(n);
    }

    /// Counts one answer of the public listener.
    pub fn answered(&self, page: &'static str, status: u16) {
        self.answers.get_or_create(&Answered { page, status }).inc();
    }

    /// Everything as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("writing to a string");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::new();
        metrics.clone().touched("click", "human", 2);
        metrics.settle("sent", &"main".into(), &"gmail".into());
        metrics.track_commit.start().stop();
        let text = metrics.text();
        assert!(text.contains(r#"indicia_touches_total{kind="click",class="human"} 2"#), "{text}");
        assert!(text.contains(r#"indicia_messages_total{state="sent",route="main",provider="gmail"} 1"#), "{text}");
        assert!(text.contains("indicia_track_commit_seconds_count 1"), "{text}");
    }
}
