-- What each claim leased: where the rows of a dead daemon are found. An index of owners did it before, and every mail
-- changed it twice, on PostgreSQL with all other indexes of the row.
create table lease (
  id bigint generated always as identity primary key,
  owner bigint not null,
  run_id bigint not null,
  ids text not null
);
create index lease_owner on lease (owner, id);
create index lease_run on lease (run_id);
insert into lease (owner, run_id, ids)
select owner, run_id, cast(json_agg(id) as text) from message where owner is not null group by owner, run_id;
drop index message_owner;
