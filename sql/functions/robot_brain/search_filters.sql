-- Step of search. Return the query for the lexemes that words_of makes of a turn besides its words: always the tenant, and
-- those filters that are given. It is null if the user has no session.
-- A user may have so many sessions that their lexemes are no help. Then find_turns looks at the sessions' rows only.
set local role robot_brain_owner;

create or replace function robot_brain.search_filters(
  p_tenant_id text, p_session_id text, p_user_id text, p_personality text, p_metadata jsonb
)
returns tsquery
language plpgsql
stable
as $$
declare
  c_sessions constant integer := 500;
  v_filters tsquery := robot_brain.lexeme_query(e'\x01' || p_tenant_id);
  v_lexeme text;
  v_ids text[];
begin
  if p_session_id is not null then
    v_filters := v_filters && robot_brain.lexeme_query(e'\x02' || p_session_id);
  elsif p_user_id is not null then
    v_ids := array(
      select s.id
      from robot_brain.sessions s
      where s.tenant_id = p_tenant_id and s.user_id = p_user_id
      limit c_sessions + 1
    );
    if cardinality(v_ids) = 0 then
      return null;
    end if;
    if cardinality(v_ids) <= c_sessions then
      v_filters := v_filters && (
        select string_agg(robot_brain.lexeme_query(e'\x02' || i)::text, ' | ') from unnest(v_ids) i
      )::tsquery;
    end if;
  end if;
  if p_personality is not null then
    v_filters := v_filters && robot_brain.lexeme_query(e'\x03' || p_personality);
  end if;
  if p_metadata is not null then
    foreach v_lexeme in array robot_brain.metadata_lexemes(p_metadata) loop
      v_filters := v_filters && robot_brain.lexeme_query(v_lexeme);
    end loop;
  end if;
  return v_filters;
end
$$;
