-- What comes back: bounces that add up against an address, and returned mails that nobody could place.

-- Bounces of one class against an address: how many, from when to when. The key outlives the member.
create table strike (
  addr_key bigint not null,
  class text not null,
  n bigint not null,
  first_at_ms bigint not null,
  last_at_ms bigint not null,
  primary key (addr_key, class)
);

-- Returned mails that are of no message of ours, or of no kind that was understood, kept for a person to look at.
-- `digest` is 63 bits of SHA-256 of the whole mail; the oldest go when there are too many.
create table stray (
  id bigint generated always as identity primary key,
  digest bigint not null unique,
  at_ms bigint not null,
  source text not null,
  kind text not null,
  subject text not null,
  summary text not null,
  bytes bigint not null,
  raw bytea not null
);
