-- Up to which touch the final classes are given. Those before it are final, those after it provisional.
create table touch_judged (
  name text not null primary key,
  at_ms integer not null,
  touch_id integer not null
) strict, without rowid;
insert into touch_judged (name, at_ms, touch_id) values ('all', 0, 0);

-- Clicks whose class changed between person and machine: the member's tags that hang on them are learned anew.
create table relearn (
  touch_id integer not null primary key,
  at_ms integer not null,
  member_id integer not null
) strict, without rowid;
create index relearn_member on relearn (member_id);
