-- Partitions made ahead: by month of what members did, by a hundred runs of messages. SQLite has one file and none.
select 1;
