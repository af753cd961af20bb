-- Shaping: what was learnt of each provider's rate, why a gate is closed, and who holds how many of its connections.

alter table gate add column why text;
-- Mails per second: the rate that was learnt, and the last one that was too much.
alter table gate add column learnt double precision;
alter table gate add column ceiling double precision;
alter table gate add column level bigint not null default 0;
alter table gate add column since_ms bigint not null default 0;
alter table gate add column taken_since bigint not null default 0;
alter table gate add column hard_day bigint not null default 0;
alter table gate add column deferred_day bigint not null default 0;
-- The cap of the day while an address warms up.
alter table gate add column warm_cap bigint;

-- Connections by daemon: what a dead one held is free again, because it lives no more.
create table gate_share (
  gate_id bigint not null,
  epoch bigint not null,
  n bigint not null,
  wants_until_ms bigint not null,
  primary key (gate_id, epoch)
);

-- Whose mail servers stand behind a domain, as DNS said.
create table mx (
  domain text not null primary key,
  provider text not null,
  expires_at_ms bigint not null
);
