-- SQLite writes a mail where it stands.
select 1;
