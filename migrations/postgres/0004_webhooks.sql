-- Deliveries and events of providers that were taken already, so that each counts once. `digest` is 63 bits of SHA-256 of
-- the provider's id, or of the whole event.
create table webhook_seen (
  hook text not null,
  digest bigint not null,
  expires_at_ms bigint not null,
  primary key (hook, digest)
);
create index webhook_seen_expires on webhook_seen (expires_at_ms);
