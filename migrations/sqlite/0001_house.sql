-- The tables of the main way: members in, a campaign frozen, every message accounted for, what came back, what was
-- learned. Instants are unix milliseconds UTC, money is minor units, statuses are text with a check.

create table setting (
  name text not null primary key,
  value text not null
) strict, without rowid;

-- One start of `serve`: an epoch. Its id is never used again.
create table daemon (
  id integer primary key autoincrement,
  host text not null,
  pid integer not null,
  started_at_ms integer not null,
  beat_at_ms integer not null,
  ended_at_ms integer,
  turn_no integer not null default 0
) strict;

-- Whose mail server a group of domains is: what budgets and lanes are kept by.
create table provider (
  id integer primary key autoincrement,
  name text not null unique
) strict;

create table member (
  id integer primary key autoincrement,
  status text not null default 'live' check (status in ('live', 'merged', 'erased')),
  email text,
  addr_key integer,
  external_id text,
  first_name text,
  last_name text,
  locale text not null default 'en',
  zone text not null default 'UTC',
  market text not null default '',
  provider_id integer not null,
  lot integer not null check (lot between 0 and 2147483646),
  mail_epoch integer not null default 0,
  points integer not null default 0,
  orders integer not null default 0,
  revenue_minor integer not null default 0,
  last_order_at_ms integer,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  check ((status = 'live') = (addr_key is not null))
) strict;
create unique index member_addr on member (addr_key) where addr_key is not null;
create unique index member_external on member (external_id) where external_id is not null;
create index member_lot on member (lot);
create index member_last_order on member (last_order_at_ms) where last_order_at_ms is not null;

create table attribute (
  id integer primary key autoincrement,
  name text not null unique
) strict;

create table member_attribute (
  member_id integer not null,
  attribute_id integer not null,
  text text not null,
  number real,
  primary key (member_id, attribute_id)
) strict, without rowid;
create index member_attribute_text on member_attribute (attribute_id, text, member_id);
create index member_attribute_number on member_attribute (attribute_id, number, member_id) where number is not null;

create table consent (
  member_id integer not null,
  topic text not null,
  state text not null check (state in ('granted', 'denied', 'revoked')),
  at_ms integer not null,
  primary key (member_id, topic)
) strict, without rowid;

create table consent_log (
  id integer primary key autoincrement,
  member_id integer not null,
  topic text not null,
  state text not null check (state in ('granted', 'denied', 'revoked')),
  source text not null,
  proof text not null,
  at_ms integer not null
) strict;
create index consent_log_member on consent_log (member_id, at_ms);

-- Addresses never to be mailed in a scope ('all', or a topic). The key outlives the member.
create table suppression (
  addr_key integer not null,
  scope text not null,
  reason text not null,
  source text not null,
  at_ms integer not null,
  expires_at_ms integer,
  primary key (addr_key, scope)
) strict, without rowid;

create table product (
  id integer primary key autoincrement,
  sku text not null unique,
  name text not null,
  category text not null default '',
  brand text not null default '',
  url text not null,
  image_url text not null default '',
  created_at_ms integer not null,
  updated_at_ms integer not null
) strict;
create index product_category on product (category);

-- Price and stock belong to a product's market. Stock null: not counted, always available.
create table product_market (
  product_id integer not null,
  market text not null,
  price_minor integer not null,
  currency text not null,
  stock integer,
  updated_at_ms integer not null,
  primary key (product_id, market)
) strict, without rowid;

create table orders (
  id integer primary key autoincrement,
  order_id text not null unique,
  member_id integer not null,
  ordered_at_ms integer not null,
  status text not null check (status in ('completed', 'pending', 'cancelled', 'refunded')),
  currency text not null,
  revenue_minor integer not null,
  coupon text,
  updated_at_ms integer not null
) strict;
create index orders_member on orders (member_id, ordered_at_ms);

create table order_line (
  orders_id integer not null,
  product_id integer not null,
  quantity integer not null,
  price_minor integer not null,
  primary key (orders_id, product_id)
) strict, without rowid;
create index order_line_product on order_line (product_id, orders_id);

create table event_name (
  id integer primary key autoincrement,
  name text not null unique
) strict;

-- What a member did anywhere but in a mail. `dedup` is 63 bits of SHA-256 of the source's own id.
create table event (
  id integer primary key autoincrement,
  at_ms integer not null,
  dedup integer not null,
  member_id integer not null,
  name_id integer not null,
  product_id integer,
  value_minor integer,
  props text not null default '{}'
) strict;
create unique index event_once on event (at_ms, dedup);
create index event_member on event (member_id, at_ms);
create index event_product on event (member_id, at_ms, name_id, product_id) where product_id is not null;
create index event_named on event (name_id, at_ms, member_id);

-- What a member did in a mail, with the evidence its class was judged by.
create table touch (
  id integer primary key autoincrement,
  at_ms integer not null,
  run_id integer not null,
  message_id integer not null,
  member_id integer,
  kind text not null check (kind in ('open', 'click', 'unsubscribe', 'web_version')),
  class text not null check (class in ('human', 'proxy', 'prefetch', 'scanner')),
  slot integer not null default 0,
  product_id integer,
  url text,
  method text not null,
  agent text not null,
  ip text not null
) strict;
create index touch_run on touch (run_id, kind, class, message_id);
create index touch_member on touch (member_id, at_ms) where member_id is not null;

create table tag (
  id integer primary key autoincrement,
  key text not null unique,
  half_life_ms integer,
  ceiling real
) strict;

-- A score as its forward-decay logarithm: ln(score) + lambda * (t - epoch).
create table member_tag (
  tag_id integer not null,
  member_id integer not null,
  lscore real not null,
  updated_at_ms integer not null,
  primary key (tag_id, member_id)
) strict, without rowid;
create index member_tag_score on member_tag (tag_id, lscore, member_id);
create index member_tag_member on member_tag (member_id);

-- Events whose effects are still to be recorded: deleted in the transaction that records them.
create table outbox (
  id integer primary key autoincrement,
  source text not null check (source in ('event', 'touch')),
  ref_id integer not null,
  at_ms integer not null
) strict;

create table segment (
  id integer primary key autoincrement,
  name text not null,
  version integer not null,
  expr text not null,
  created_at_ms integer not null
) strict;
create unique index segment_version on segment (name, version);

create table template (
  id integer primary key autoincrement,
  name text not null unique
) strict;

create table template_version (
  id integer primary key autoincrement,
  template_id integer not null,
  version integer not null,
  class text not null check (class in ('marketing', 'transactional')),
  topic text not null,
  default_locale text not null,
  link_hosts text not null default '',
  sha text not null,
  created_at_ms integer not null
) strict;
create unique index template_version_once on template_version (template_id, version);

create table template_part (
  template_version_id integer not null,
  locale text not null,
  subject text not null,
  preheader text not null,
  html text not null,
  text text not null,
  texts text not null default '{}',
  primary key (template_version_id, locale)
) strict, without rowid;

-- Where the links of a template version lead, by slot: a sent link carries the slot, never the address.
create table link (
  template_version_id integer not null,
  slot integer not null,
  url text not null,
  label text not null,
  primary key (template_version_id, slot)
) strict, without rowid;

create table campaign (
  id integer primary key autoincrement,
  name text not null unique,
  created_at_ms integer not null
) strict;

-- One launch of a campaign, its document frozen.
create table run (
  id integer primary key autoincrement,
  campaign_id integer not null,
  scheduled_for_ms integer not null,
  state text not null check (state in
    ('draft', 'approved', 'freezing', 'sending', 'pausing', 'paused', 'finished', 'cancelling', 'cancelled')),
  generation integer not null default 0,
  seed integer not null,
  doc text not null,
  freeze_cursor integer not null default 0,
  freeze_started_at_ms integer,
  frozen_n integer,
  why text,
  created_at_ms integer not null,
  started_at_ms integer,
  finished_at_ms integer
) strict;
create unique index run_once on run (campaign_id, scheduled_for_ms);
create index run_state on run (state);

-- How many rows of a run are in which state: changed in the commit that moves the rows, audited when the run ends.
create table run_count (
  run_id integer not null,
  owner integer not null,
  variant integer not null,
  state text not null,
  why text not null,
  n integer not null,
  primary key (run_id, owner, variant, state, why)
) strict, without rowid;

-- Members of the segment who were not frozen, by reason.
create table run_excluded (
  run_id integer not null,
  reason text not null,
  n integer not null,
  primary key (run_id, reason)
) strict, without rowid;

create table run_lane (
  run_id integer not null,
  provider_id integer not null,
  primary key (run_id, provider_id)
) strict, without rowid;

create table message (
  id integer primary key autoincrement,
  run_id integer not null,
  origin integer not null,
  seq integer not null default 0,
  member_id integer,
  provider_id integer not null,
  addr_key integer,
  variant integer not null default 0,
  template_version_id integer,
  state text not null check (state in
    ('held', 'queued', 'leased', 'armed', 'in_doubt', 'sent', 'bounced', 'failed', 'skipped', 'cancelled')),
  due_at_ms integer,
  owner integer,
  attempt integer not null default 0,
  tries integer not null default 0,
  crashes integer not null default 0,
  armed_at_ms integer,
  sent_at_ms integer,
  why text,
  remote_id text,
  check ((state = 'queued') = (due_at_ms is not null)),
  check ((state in ('leased', 'armed')) = (owner is not null))
) strict;
create unique index message_once on message (run_id, origin, seq);
create unique index message_addr on message (run_id, addr_key) where addr_key is not null;
create index message_due on message (run_id, provider_id, due_at_ms, id) where due_at_ms is not null;
create index message_owner on message (owner) where owner is not null;

-- One row for every attempt that did not end in a plain 250.
create table delivery (
  id integer primary key autoincrement,
  run_id integer not null,
  message_id integer not null,
  attempt integer not null,
  at_ms integer not null,
  route text not null,
  stage text not null,
  outcome text not null,
  class text not null,
  code integer,
  enhanced text,
  text text not null
) strict;
create index delivery_message on delivery (run_id, message_id);

-- What an armed mail showed: enough to render its web version and the member's timeline again.
create table shown (
  run_id integer not null,
  message_id integer not null,
  body text not null,
  primary key (run_id, message_id)
) strict, without rowid;

-- The budget of a (route, provider), shared by all daemons: a leaky bucket (GCRA).
create table gate (
  id integer primary key autoincrement,
  route text not null,
  provider_id integer not null,
  tat_us integer not null default 0,
  step_us integer not null default 0,
  closed_until_ms integer not null default 0,
  cap_day integer,
  day integer not null default 0,
  taken_day integer not null default 0,
  version integer not null default 0
) strict;
create unique index gate_once on gate (route, provider_id);
