-- What a person is to be told, a row for each way and whom it leads to: written with what it is about, taken and told by
-- one daemon at a time. `once` names the event; of it nobody is told twice. Due null: told, or given up.
create table alert (
  id bigint generated always as identity primary key,
  at_ms bigint not null,
  once text not null,
  kind text not null check (kind in ('campaign_paused', 'provider_closed')),
  about text not null,
  subject text not null,
  body text not null,
  way text not null check (way in ('mail', 'webhook')),
  target text not null,
  due_at_ms bigint,
  tries bigint not null default 0,
  told_at_ms bigint,
  said text
);
create unique index alert_once on alert (once, way, target);
create index alert_due on alert (due_at_ms) where due_at_ms is not null;

-- What was read in a mailbox and left there. IMAP: one row, how far it was read; POP3: a row for each mail that stays.
create table mailbox_seen (
  mailbox text not null,
  uid text not null,
  at_ms bigint not null,
  primary key (mailbox, uid)
);
