-- What each claim leased: where the rows of a dead daemon are found. An index of owners did it before, and every mail
-- changed it twice, on PostgreSQL with all other indexes of the row.
create table lease (
  id integer primary key autoincrement,
  owner integer not null,
  run_id integer not null,
  ids text not null
) strict;
create index lease_owner on lease (owner, id);
create index lease_run on lease (run_id);
insert into lease (owner, run_id, ids)
select owner, run_id, json_group_array(id) from message where owner is not null group by owner, run_id;
drop index message_owner;
