-- Up to which touch the final classes are given. Those before it are final, those after it provisional.
create table touch_judged (
  name text not null primary key,
  at_ms bigint not null,
  touch_id bigint not null
);
insert into touch_judged (name, at_ms, touch_id) values ('all', 0, 0);

-- Clicks whose class changed between person and machine: the member's tags that hang on them are learned anew.
create table relearn (
  touch_id bigint not null primary key,
  at_ms bigint not null,
  member_id bigint not null
);
create index relearn_member on relearn (member_id);
