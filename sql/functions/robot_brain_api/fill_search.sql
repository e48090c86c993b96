-- Make the words of some turns that the search does not find by its index yet (fill_words).
--   p_wait   wait for another call that runs; otherwise body is null if one does
set local role robot_brain_owner;

create or replace function robot_brain_api.fill_search(
  p_wait boolean default true,
  p_schema_version integer default null,
  out body text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  if p_schema_version > robot_brain.served_version() then
    perform robot_brain.refuse_version(p_schema_version);
  end if;
  body := robot_brain.fill_words(p_wait);
end
$$;

grant execute on function robot_brain_api.fill_search to robot_brain_app;
