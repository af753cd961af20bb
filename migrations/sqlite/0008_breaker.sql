-- What pauses a campaign by itself: complaints counted by run, refusals found by class, and the last time each tripped.

create table complaint (
  run_id integer not null,
  message_id integer not null,
  at_ms integer not null,
  primary key (run_id, message_id)
) strict, without rowid;

-- How things stood when a fuse of a run blew last: after a resume only what came since counts.
create table trip (
  run_id integer not null,
  fuse text not null check (fuse in ('hard_bounces', 'complaints', 'content', 'auth')),
  at_ms integer not null,
  tried integer not null,
  hits integer not null,
  primary key (run_id, fuse)
) strict, without rowid;

create index delivery_class on delivery (run_id, class, at_ms);
