-- More of what a person is told. SQLite changes no check in place: the table is made anew.
create table alert_new (
  id integer primary key autoincrement,
  at_ms integer not null,
  once text not null,
  kind text not null check (kind in ('campaign_paused', 'provider_closed', 'campaign_put_off', 'campaign_short', 'complaints', 'route_down',
    'sending_stopped', 'work_failing')),
  about text not null,
  subject text not null,
  body text not null,
  way text not null check (way in ('mail', 'webhook')),
  target text not null,
  due_at_ms integer,
  tries integer not null default 0,
  told_at_ms integer,
  said text
) strict;
insert into alert_new (id, at_ms, once, kind, about, subject, body, way, target, due_at_ms, tries, told_at_ms, said)
  select id, at_ms, once, kind, about, subject, body, way, target, due_at_ms, tries, told_at_ms, said from alert;
drop table alert;
alter table alert_new rename to alert;
create unique index alert_once on alert (once, way, target);
create index alert_due on alert (due_at_ms) where due_at_ms is not null;
