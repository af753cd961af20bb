-- A list of words in a check costs nothing here; on SQLite it does.
select 1;
