-- Return a part of a turn's texts as HTML: the words that match are in <mark>, and all other signs are escaped.
--   p_in   user or robot: the part comes from this text of the turn; null for both
-- The first 16,384 signs of each text are looked at, in pieces, until one has a match. If none has, the snippet is the
-- beginning without marks.
-- The text is in NFC (composed_text). Each word of the query is marked, also a word of a phrase that stands alone.
set local role robot_brain_owner;

create or replace function robot_brain.snippet(
  p_user_message text, p_robot_response text, p_query tsquery, p_in text
)
returns text
language plpgsql
stable
as $$
declare
  c_signs constant integer := 16384;
  c_piece constant integer := 4096;
  -- A phrase at the end of a piece is in the next one, too.
  c_overlap constant integer := 200;
  -- A piece may have only some of the words.
  v_query constant tsquery := replace(robot_brain.bounded_query(p_query)::text, ' & ', ' | ')::tsquery;
  v_text constant text := robot_brain.composed_text(concat_ws(
    e'\n',
    case when p_in = 'robot' then null else nullif(left(p_user_message, c_signs), '') end,
    case when p_in = 'user' then null else nullif(left(p_robot_response, c_signs), '') end
  ));
  v_first text;
  v_html text;
begin
  for v_from in 1 .. greatest(length(v_text), 1) by c_piece loop
    v_html := robot_brain.marked_piece(substr(v_text, v_from, c_piece + c_overlap), v_query);
    if strpos(v_html, '<mark>') > 0 then
      return v_html;
    end if;
    v_first := coalesce(v_first, v_html);
  end loop;
  return v_first;
end
$$;
