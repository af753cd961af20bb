//! The workers that know how fast each provider is served: gates supplied with tokens, mail servers looked up.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::dns::Dns;
use super::workers::{Crew, Worker, repeat};
use crate::base::World;
use crate::domain::provider::ProviderTable;
use crate::flow::gate::Gates;
use crate::flow::servers::Round;
use crate::store::{Db, StoreError};

/// How often gates are looked at for tokens that run out.
const GATES_LOOK: Duration = Duration::from_millis(20);
/// How often new members' domains are looked at.
const SERVERS_LOOK: Duration = Duration::from_secs(1);

/// Keeps the gates supplied, and everybody informed of what goes through them.
struct Shaping {
    gates: Arc<Gates>,
    epoch: i64,
}

impl Worker for Shaping {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        self.gates.tick(self.epoch).await?;
        Ok(false)
    }
}

/// Supplies the gates until `late`, then gives back what was not used.
pub fn keep_gates(crew: &mut Crew, gates: Arc<Gates>, epoch: i64, late: CancellationToken) {
    let mut shaping = Shaping { gates, epoch };
    crew.spawn("shaping", async move {
        repeat("shaping", late, GATES_LOOK, &mut shaping).await;
        if let Err(error) = shaping.gates.close(shaping.epoch).await {
            tracing::warn!(%error, "tokens that were not used are lost");
        }
    });
}

/// Learns whose mail servers stand behind domains.
struct Servers {
    round: Round<Dns>,
    world: World,
}

impl Worker for Servers {
    type Error = StoreError;

    async fn tick(&mut self) -> Result<bool, StoreError> {
        self.round.tick(self.world.now_ms()).await
    }
}

/// Learns until `stop` whose mail servers stand behind the members' domains, where mail leaves this machine at all.
pub fn look_up_servers(
    crew: &mut Crew,
    config: &Config,
    (db, world, epoch): (Db, World, i64),
    table: ProviderTable,
    stop: CancellationToken,
) {
    if config.routes.is_empty() || !config.dns.providers {
        return;
    }
    let dns = match Dns::new(&config.dns.servers) {
        Ok(dns) => dns,
        Err(error) => {
            return tracing::warn!(%error, "providers are known by the domains of shaping.toml alone: {error}");
        }
    };
    let mut servers = Servers { round: Round::new(db, table, dns, epoch, config.dns.own_from), world };
    crew.spawn("servers", async move { repeat("servers", stop, SERVERS_LOOK, &mut servers).await });
}
