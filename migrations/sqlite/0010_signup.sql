-- Wishes to be written to that nobody confirmed yet, and those that were: what the form said and showed, and the mail that
-- asks whether it was meant. A wish that is not confirmed in time goes, with the member it made.
create table signup (
  id integer primary key autoincrement,
  member_id integer not null,
  is_new integer not null,
  topics text not null,
  text_id integer not null,
  proof text not null,
  asked_at_ms integer not null,
  expires_at_ms integer not null,
  run_id integer not null,
  message_id integer,
  confirmed_at_ms integer
) strict;
create unique index signup_message on signup (run_id, message_id) where message_id is not null;
create index signup_member on signup (member_id);
create index signup_open on signup (expires_at_ms) where confirmed_at_ms is null;

-- How often something was asked for within a length of time: `key` is a hash of who asks, or of the address asked for.
create table asking (
  key integer not null,
  until_ms integer not null,
  n integer not null,
  primary key (key, until_ms)
) strict, without rowid;
create index asking_until on asking (until_ms);
