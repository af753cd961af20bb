-- What pauses a campaign by itself: complaints counted by run, refusals found by class, and the last time each tripped.

create table complaint (
  run_id bigint not null,
  message_id bigint not null,
  at_ms bigint not null,
  primary key (run_id, message_id)
);

-- How things stood when a fuse of a run blew last: after a resume only what came since counts.
create table trip (
  run_id bigint not null,
  fuse text not null check (fuse in ('hard_bounces', 'complaints', 'content', 'auth')),
  at_ms bigint not null,
  tried bigint not null,
  hits bigint not null,
  primary key (run_id, fuse)
);

create index delivery_class on delivery (run_id, class, at_ms);
