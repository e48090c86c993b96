-- Return the words of a turn.
--   user_message has weight A, and robot_response the default weight D, so that a query can ask for one of them
--   the other lexemes begin with a control sign, which no parsed text has: so no text can forge them
--     \x01 tenant, \x02 session, \x03 personality, \x04 a field of the metadata (metadata_lexemes), \x05 day (UTC)
--   \x06 stands between the two texts, so that no phrase goes from one into the other
-- A tsvector has at most 1 MB. If all words are larger, the turn gets those of the beginnings of its texts, so that a
-- turn never stops the filling.
set local role robot_brain_search;

create or replace function robot_brain.words_of(
  p_tenant_id text,
  p_session_id text,
  p_created_at timestamptz,
  p_robot_personality text,
  p_user_message text,
  p_robot_response text,
  p_metadata jsonb
)
returns tsvector
language plpgsql
stable
as $$
declare
  v_filters constant tsvector := array_to_tsvector(
    array[
      e'\x01' || p_tenant_id,
      e'\x02' || p_session_id,
      e'\x03' || p_robot_personality,
      robot_brain.day_lexeme(p_created_at)
    ]
    || case when p_metadata <> '{}' then robot_brain.metadata_lexemes(p_metadata) end
  );
  v_signs integer;
begin
  foreach v_signs in array array[65536, 8192] loop
    begin
      return v_filters
        || setweight(to_tsvector(robot_brain.search_language(), robot_brain.plain_text(p_user_message, v_signs)), 'A')
        || e'''\x06'':1'::tsvector
        || to_tsvector(robot_brain.search_language(), robot_brain.plain_text(p_robot_response, v_signs));
    exception
      when program_limit_exceeded then
        null;
    end;
  end loop;
  return v_filters;
end
$$;
