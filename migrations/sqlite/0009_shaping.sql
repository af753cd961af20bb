-- Shaping: what was learnt of each provider's rate, why a gate is closed, and who holds how many of its connections.

alter table gate add column why text;
-- Mails per second: the rate that was learnt, and the last one that was too much.
alter table gate add column learnt real;
alter table gate add column ceiling real;
alter table gate add column level integer not null default 0;
alter table gate add column since_ms integer not null default 0;
alter table gate add column taken_since integer not null default 0;
alter table gate add column hard_day integer not null default 0;
alter table gate add column deferred_day integer not null default 0;
-- The cap of the day while an address warms up.
alter table gate add column warm_cap integer;

-- Connections by daemon: what a dead one held is free again, because it lives no more.
create table gate_share (
  gate_id integer not null,
  epoch integer not null,
  n integer not null,
  wants_until_ms integer not null,
  primary key (gate_id, epoch)
) strict, without rowid;

-- Whose mail servers stand behind a domain, as DNS said.
create table mx (
  domain text not null primary key,
  provider text not null,
  expires_at_ms integer not null
) strict, without rowid;
