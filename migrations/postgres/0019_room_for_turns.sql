-- Every mail is written three times, and its neighbours at the same moment: a page has room for all of them, so that no
-- index hears of what no index holds.
do $$
declare
  part regclass;
begin
  for part in select inhrelid from pg_inherits where inhparent = 'message'::regclass loop
    execute format('alter table %s set (fillfactor = 60)', part);
  end loop;
end
$$;
