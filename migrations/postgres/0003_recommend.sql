-- The recommender's tables. A build is a walk over all members; it is whole when it is finished, and the newest whole
-- one counts. Its pieces are opaque bytes: part 0 the tables, any other part a checkpoint to go on from.
create table recommend_build (
  id bigint generated always as identity primary key,
  started_at_ms bigint not null,
  beat_at_ms bigint not null,
  checkpoint bigint not null default 0,
  cursor bigint not null default 0,
  finished_at_ms bigint
);

create table recommend_piece (
  build_id bigint not null,
  part bigint not null,
  seq bigint not null,
  body bytea not null,
  primary key (build_id, part, seq)
);

-- Whether products are picked for a member by what the member did; 0: what sells best.
alter table member add column personalise bigint not null default 1;
