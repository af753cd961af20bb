-- The recommender's tables. A build is a walk over all members; it is whole when it is finished, and the newest whole
-- one counts. Its pieces are opaque bytes: part 0 the tables, any other part a checkpoint to go on from.
create table recommend_build (
  id integer primary key autoincrement,
  started_at_ms integer not null,
  beat_at_ms integer not null,
  checkpoint integer not null default 0,
  cursor integer not null default 0,
  finished_at_ms integer
) strict;

create table recommend_piece (
  build_id integer not null,
  part integer not null,
  seq integer not null,
  body blob not null,
  primary key (build_id, part, seq)
) strict, without rowid;

-- Whether products are picked for a member by what the member did; 0: what sells best.
alter table member add column personalise integer not null default 1;
