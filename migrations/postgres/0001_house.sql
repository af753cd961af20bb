-- The tables of the main way: members in, a campaign frozen, every message accounted for, what came back, what was
-- learned. Instants are unix milliseconds UTC, money is minor units, statuses are text with a check.

create table setting (
  name text not null primary key,
  value text not null
);

-- One start of `serve`: an epoch. Its id is never used again.
create table daemon (
  id bigint generated always as identity primary key,
  host text not null,
  pid bigint not null,
  started_at_ms bigint not null,
  beat_at_ms bigint not null,
  ended_at_ms bigint,
  turn_no bigint not null default 0
);

-- Whose mail server a group of domains is: what budgets and lanes are kept by.
create table provider (
  id bigint generated always as identity primary key,
  name text not null unique
);

create table member (
  id bigint generated always as identity primary key,
  status text not null default 'live' check (status in ('live', 'merged', 'erased')),
  email text,
  addr_key bigint,
  external_id text,
  first_name text,
  last_name text,
  locale text not null default 'en',
  zone text not null default 'UTC',
  market text not null default '',
  provider_id bigint not null,
  lot bigint not null check (lot between 0 and 2147483646),
  mail_epoch bigint not null default 0,
  points bigint not null default 0,
  orders bigint not null default 0,
  revenue_minor bigint not null default 0,
  last_order_at_ms bigint,
  created_at_ms bigint not null,
  updated_at_ms bigint not null,
  check ((status = 'live') = (addr_key is not null))
);
create unique index member_addr on member (addr_key) where addr_key is not null;
create unique index member_external on member (external_id) where external_id is not null;
create index member_lot on member (lot);
create index member_last_order on member (last_order_at_ms) where last_order_at_ms is not null;

create table attribute (
  id bigint generated always as identity primary key,
  name text not null unique
);

create table member_attribute (
  member_id bigint not null,
  attribute_id bigint not null,
  text text not null,
  number double precision,
  primary key (member_id, attribute_id)
);
create index member_attribute_text on member_attribute (attribute_id, text, member_id);
create index member_attribute_number on member_attribute (attribute_id, number, member_id) where number is not null;

create table consent (
  member_id bigint not null,
  topic text not null,
  state text not null check (state in ('granted', 'denied', 'revoked')),
  at_ms bigint not null,
  primary key (member_id, topic)
);

create table consent_log (
  id bigint generated always as identity primary key,
  member_id bigint not null,
  topic text not null,
  state text not null check (state in ('granted', 'denied', 'revoked')),
  source text not null,
  proof text not null,
  at_ms bigint not null
);
create index consent_log_member on consent_log (member_id, at_ms);

-- Addresses never to be mailed in a scope ('all', or a topic). The key outlives the member.
create table suppression (
  addr_key bigint not null,
  scope text not null,
  reason text not null,
  source text not null,
  at_ms bigint not null,
  expires_at_ms bigint,
  primary key (addr_key, scope)
);

create table product (
  id bigint generated always as identity primary key,
  sku text not null unique,
  name text not null,
  category text not null default '',
  brand text not null default '',
  url text not null,
  image_url text not null default '',
  created_at_ms bigint not null,
  updated_at_ms bigint not null
);
create index product_category on product (category);

-- Price and stock belong to a product's market. Stock null: not counted, always available.
create table product_market (
  product_id bigint not null,
  market text not null,
  price_minor bigint not null,
  currency text not null,
  stock bigint,
  updated_at_ms bigint not null,
  primary key (product_id, market)
);

create table orders (
  id bigint generated always as identity primary key,
  order_id text not null unique,
  member_id bigint not null,
  ordered_at_ms bigint not null,
  status text not null check (status in ('completed', 'pending', 'cancelled', 'refunded')),
  currency text not null,
  revenue_minor bigint not null,
  coupon text,
  updated_at_ms bigint not null
);
create index orders_member on orders (member_id, ordered_at_ms);

create table order_line (
  orders_id bigint not null,
  product_id bigint not null,
  quantity bigint not null,
  price_minor bigint not null,
  primary key (orders_id, product_id)
);
create index order_line_product on order_line (product_id, orders_id);

create table event_name (
  id bigint generated always as identity primary key,
  name text not null unique
);

-- What a member did anywhere but in a mail. `dedup` is 63 bits of SHA-256 of the source's own id.
create table event (
  id bigint generated always as identity,
  at_ms bigint not null,
  dedup bigint not null,
  member_id bigint not null,
  name_id bigint not null,
  product_id bigint,
  value_minor bigint,
  props text not null default '{}',
  primary key (at_ms, id)
) partition by range (at_ms);
create table event_rest partition of event default;
create unique index event_once on event (at_ms, dedup);
create index event_member on event (member_id, at_ms);
create index event_product on event (member_id, at_ms, name_id, product_id) where product_id is not null;
create index event_named on event (name_id, at_ms, member_id);

-- What a member did in a mail, with the evidence its class was judged by.
create table touch (
  id bigint generated always as identity,
  at_ms bigint not null,
  run_id bigint not null,
  message_id bigint not null,
  member_id bigint,
  kind text not null check (kind in ('open', 'click', 'unsubscribe', 'web_version')),
  class text not null check (class in ('human', 'proxy', 'prefetch', 'scanner')),
  slot bigint not null default 0,
  product_id bigint,
  url text,
  method text not null,
  agent text not null,
  ip text not null,
  primary key (at_ms, id)
) partition by range (at_ms);
create table touch_rest partition of touch default;
create index touch_run on touch (run_id, kind, class, message_id);
create index touch_member on touch (member_id, at_ms) where member_id is not null;

create table tag (
  id bigint generated always as identity primary key,
  key text not null unique,
  half_life_ms bigint,
  ceiling double precision
);

-- A score as its forward-decay logarithm: ln(score) + lambda * (t - epoch).
create table member_tag (
  tag_id bigint not null,
  member_id bigint not null,
  lscore double precision not null,
  updated_at_ms bigint not null,
  primary key (tag_id, member_id)
);
create index member_tag_score on member_tag (tag_id, lscore, member_id);
create index member_tag_member on member_tag (member_id);

-- Events whose effects are still to be recorded: deleted in the transaction that records them.
create table outbox (
  id bigint generated always as identity primary key,
  source text not null check (source in ('event', 'touch')),
  ref_id bigint not null,
  at_ms bigint not null
);

create table segment (
  id bigint generated always as identity primary key,
  name text not null,
  version bigint not null,
  expr text not null,
  created_at_ms bigint not null
);
create unique index segment_version on segment (name, version);

create table template (
  id bigint generated always as identity primary key,
  name text not null unique
);

create table template_version (
  id bigint generated always as identity primary key,
  template_id bigint not null,
  version bigint not null,
  class text not null check (class in ('marketing', 'transactional')),
  topic text not null,
  default_locale text not null,
  link_hosts text not null default '',
  sha text not null,
  created_at_ms bigint not null
);
create unique index template_version_once on template_version (template_id, version);

create table template_part (
  template_version_id bigint not null,
  locale text not null,
  subject text not null,
  preheader text not null,
  html text not null,
  text text not null,
  texts text not null default '{}',
  primary key (template_version_id, locale)
);

-- Where the links of a template version lead, by slot: a sent link carries the slot, never the address.
create table link (
  template_version_id bigint not null,
  slot bigint not null,
  url text not null,
  label text not null,
  primary key (template_version_id, slot)
);

create table campaign (
  id bigint generated always as identity primary key,
  name text not null unique,
  created_at_ms bigint not null
);

-- One launch of a campaign, its document frozen.
create table run (
  id bigint generated always as identity primary key,
  campaign_id bigint not null,
  scheduled_for_ms bigint not null,
  state text not null check (state in
    ('draft', 'approved', 'freezing', 'sending', 'pausing', 'paused', 'finished', 'cancelling', 'cancelled')),
  generation bigint not null default 0,
  seed bigint not null,
  doc text not null,
  freeze_cursor bigint not null default 0,
  freeze_started_at_ms bigint,
  frozen_n bigint,
  why text,
  created_at_ms bigint not null,
  started_at_ms bigint,
  finished_at_ms bigint
);
create unique index run_once on run (campaign_id, scheduled_for_ms);
create index run_state on run (state);

-- How many rows of a run are in which state: changed in the commit that moves the rows, audited when the run ends.
create table run_count (
  run_id bigint not null,
  owner bigint not null,
  variant bigint not null,
  state text not null,
  why text not null,
  n bigint not null,
  primary key (run_id, owner, variant, state, why)
);

-- Members of the segment who were not frozen, by reason.
create table run_excluded (
  run_id bigint not null,
  reason text not null,
  n bigint not null,
  primary key (run_id, reason)
);

create table run_lane (
  run_id bigint not null,
  provider_id bigint not null,
  primary key (run_id, provider_id)
);

create table message (
  id bigint generated always as identity,
  run_id bigint not null,
  origin bigint not null,
  seq bigint not null default 0,
  member_id bigint,
  provider_id bigint not null,
  addr_key bigint,
  variant bigint not null default 0,
  template_version_id bigint,
  state text not null check (state in
    ('held', 'queued', 'leased', 'armed', 'in_doubt', 'sent', 'bounced', 'failed', 'skipped', 'cancelled')),
  due_at_ms bigint,
  owner bigint,
  attempt bigint not null default 0,
  tries bigint not null default 0,
  crashes bigint not null default 0,
  armed_at_ms bigint,
  sent_at_ms bigint,
  why text,
  remote_id text,
  check ((state = 'queued') = (due_at_ms is not null)),
  check ((state in ('leased', 'armed')) = (owner is not null)),
  primary key (run_id, id)
) partition by range (run_id);
create table message_rest partition of message default with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
create unique index message_once on message (run_id, origin, seq);
create unique index message_addr on message (run_id, addr_key) where addr_key is not null;
create index message_due on message (run_id, provider_id, due_at_ms, id) where due_at_ms is not null;
create index message_owner on message (owner) where owner is not null;

-- One row for every attempt that did not end in a plain 250.
create table delivery (
  id bigint generated always as identity primary key,
  run_id bigint not null,
  message_id bigint not null,
  attempt bigint not null,
  at_ms bigint not null,
  route text not null,
  stage text not null,
  outcome text not null,
  class text not null,
  code bigint,
  enhanced text,
  text text not null
);
create index delivery_message on delivery (run_id, message_id);

-- What an armed mail showed: enough to render its web version and the member's timeline again.
create table shown (
  run_id bigint not null,
  message_id bigint not null,
  body text not null,
  primary key (run_id, message_id)
);

-- The budget of a (route, provider), shared by all daemons: a leaky bucket (GCRA).
create table gate (
  id bigint generated always as identity primary key,
  route text not null,
  provider_id bigint not null,
  tat_us bigint not null default 0,
  step_us bigint not null default 0,
  closed_until_ms bigint not null default 0,
  cap_day bigint,
  day bigint not null default 0,
  taken_day bigint not null default 0,
  version bigint not null default 0
);
create unique index gate_once on gate (route, provider_id);
