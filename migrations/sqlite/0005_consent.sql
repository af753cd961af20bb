-- What a member said to which words, and how mails are to reach him or her.

-- The words a page showed when it asked for consent: a version of a form for each change of them, in each language.
create table consent_text (
  id integer primary key autoincrement,
  form text not null,
  lang text not null,
  version integer not null,
  sha text not null,
  body text not null,
  created_at_ms integer not null
) strict;
create unique index consent_text_version on consent_text (form, lang, version);
create unique index consent_text_sha on consent_text (form, lang, sha);

-- Null: no page of ours asked.
alter table consent_log add column text_id integer;

-- Whether mails carry a pixel and counted links; 0: no. Until when the member wants no marketing mail.
alter table member add column track_opens integer not null default 1;
alter table member add column track_clicks integer not null default 1;
alter table member add column paused_until_ms integer;
