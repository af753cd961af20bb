-- A daemon commits turns on one line or more, and each counts its own: on one row all would wait for each other.
create table turn_line (
  daemon_id integer not null,
  line integer not null,
  turn_no integer not null default 0,
  primary key (daemon_id, line)
) strict, without rowid;
insert into turn_line (daemon_id, line, turn_no) select id, 0, turn_no from daemon;
alter table daemon drop column turn_no;
