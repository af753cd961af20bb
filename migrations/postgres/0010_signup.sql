-- Wishes to be written to that nobody confirmed yet, and those that were: what the form said and showed, and the mail that
-- asks whether it was meant. A wish that is not confirmed in time goes, with the member it made.
create table signup (
  id bigint generated always as identity primary key,
  member_id bigint not null,
  is_new bigint not null,
  topics text not null,
  text_id bigint not null,
  proof text not null,
  asked_at_ms bigint not null,
  expires_at_ms bigint not null,
  run_id bigint not null,
  message_id bigint,
  confirmed_at_ms bigint
);
create unique index signup_message on signup (run_id, message_id) where message_id is not null;
create index signup_member on signup (member_id);
create index signup_open on signup (expires_at_ms) where confirmed_at_ms is null;

-- How often something was asked for within a length of time: `key` is a hash of who asks, or of the address asked for.
create table asking (
  key bigint not null,
  until_ms bigint not null,
  n bigint not null,
  primary key (key, until_ms)
);
create index asking_until on asking (until_ms);
