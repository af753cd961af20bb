-- What comes back: bounces that add up against an address, and returned mails that nobody could place.

-- Bounces of one class against an address: how many, from when to when. The key outlives the member.
create table strike (
  addr_key integer not null,
  class text not null,
  n integer not null,
  first_at_ms integer not null,
  last_at_ms integer not null,
  primary key (addr_key, class)
) strict, without rowid;

-- Returned mails that are of no message of ours, or of no kind that was understood, kept for a person to look at.
-- `digest` is 63 bits of SHA-256 of the whole mail; the oldest go when there are too many.
create table stray (
  id integer primary key autoincrement,
  digest integer not null unique,
  at_ms integer not null,
  source text not null,
  kind text not null,
  subject text not null,
  summary text not null,
  bytes integer not null,
  raw blob not null
) strict;
