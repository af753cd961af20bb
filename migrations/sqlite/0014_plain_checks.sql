-- SQLite makes a list of three words and more anew for every row that is checked, as a small table of its own: dearer than
-- writing the row. Words compared one by one cost nothing. No row changes, only what constraints say, in the way SQLite
-- has for it (https://sqlite.org/lang_altertable.html, section 7): the text is written
-- into the schema, and read again by every connection when a table comes and goes.
pragma writable_schema = on;
update sqlite_schema set sql = replace(sql,
  'status in (''live'', ''merged'', ''erased'')',
  'status = ''live'' or status = ''merged'' or status = ''erased''')
  where type = 'table' and name = 'member';
update sqlite_schema set sql = replace(sql,
  'state in (''granted'', ''denied'', ''revoked'')',
  'state = ''granted'' or state = ''denied'' or state = ''revoked''')
  where type = 'table' and name = 'consent';
update sqlite_schema set sql = replace(sql,
  'state in (''granted'', ''denied'', ''revoked'')',
  'state = ''granted'' or state = ''denied'' or state = ''revoked''')
  where type = 'table' and name = 'consent_log';
update sqlite_schema set sql = replace(sql,
  'status in (''completed'', ''pending'', ''cancelled'', ''refunded'')',
  'status = ''completed'' or status = ''pending'' or status = ''cancelled'' or status = ''refunded''')
  where type = 'table' and name = 'orders';
update sqlite_schema set sql = replace(sql,
  'kind in (''open'', ''click'', ''unsubscribe'', ''web_version'')',
  'kind = ''open'' or kind = ''click'' or kind = ''unsubscribe'' or kind = ''web_version''')
  where type = 'table' and name = 'touch';
update sqlite_schema set sql = replace(sql,
  'class in (''human'', ''proxy'', ''prefetch'', ''scanner'')',
  'class = ''human'' or class = ''proxy'' or class = ''prefetch'' or class = ''scanner''')
  where type = 'table' and name = 'touch';
update sqlite_schema set sql = replace(sql,
  'state in
    (''held'', ''queued'', ''leased'', ''armed'', ''in_doubt'', ''sent'', ''bounced'', ''failed'', ''skipped'', ''cancelled'')',
  'state = ''held'' or state = ''queued'' or state = ''leased'' or state = ''armed'' or state = ''in_doubt''
    or state = ''sent'' or state = ''bounced'' or state = ''failed'' or state = ''skipped'' or state = ''cancelled''')
  where type = 'table' and name = 'message';
pragma writable_schema = reset;
create table schema_is_new (id integer primary key) strict;
drop table schema_is_new;
