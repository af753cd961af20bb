-- Partitions made ahead: by month of what members did, by a hundred runs of messages. SQLite has one file and none.

-- Makes `name`, the partition of `parent` for keys in [low, high), in which no row may be yet; does nothing when it is
-- there. The default partition is first fenced off from that range by a check, then looked through without keeping
-- anybody out, so that hanging in takes no time. Each step is committed: call it outside a transaction, again after a
-- crash. What is hung in may be dropped whole when it is old.
create procedure make_partition(parent text, name text, key text, low bigint, high bigint) language plpgsql as $$
declare
  rest text := parent || '_rest';
  fence text := name || '_fence';
  options text;
  is_empty boolean := true;
begin
  if to_regclass(name) is not null then
    return;
  end if;
  perform set_config('lock_timeout', '2s', true);
  if not exists (select 1 from pg_constraint where conname = fence and conrelid = to_regclass(rest)) then
    execute format('alter table %I add constraint %I check (not (%I is not null and %I >= %s and %I < %s)) not valid',
      rest, fence, key, key, low, key, high);
  end if;
  commit;
  begin
    execute format('alter table %I validate constraint %I', rest, fence);
  exception when check_violation then
    is_empty := false;
  end;
  perform set_config('lock_timeout', '2s', true);
  if is_empty then
    select ' with (' || array_to_string(reloptions, ', ') || ')' into options from pg_class where oid = to_regclass(rest);
    -- Without identity: numbers are given by the parent alone.
    execute format('create table %I (like %I including defaults including constraints including indexes including storage)%s',
      name, parent, coalesce(options, ''));
    execute format('alter table %I attach partition %I for values from (%s) to (%s)', parent, name, low, high);
  end if;
  execute format('alter table %I drop constraint %I', rest, fence);
  commit;
end
$$;
