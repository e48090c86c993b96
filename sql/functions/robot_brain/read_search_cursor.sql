-- Return the places that make_search_cursor has put into a cursor: the turn after which the page goes on, and with
-- order=relevance its score, the newest and the oldest place of the turns that are ranked, whether these are all that
-- match, and whether older ones are ranked after them. Without a score, the page ranks turns from the newest place on.
-- Raises RB428 if the cursor is unreadable, or is one of another search.
set local role robot_brain_owner;

create or replace function robot_brain.read_search_cursor(
  p_cursor text,
  p_list text,
  out created_at timestamptz,
  out session_id text,
  out seq integer,
  out score real,
  out from_time timestamptz,
  out from_session text,
  out from_seq integer,
  out to_time timestamptz,
  out to_session text,
  out to_seq integer,
  out is_complete boolean,
  out goes_on boolean
)
language plpgsql
stable
as $$
declare
  v_cursor json;
  v_place json;
begin
  if p_cursor is null then
    return;
  end if;
  begin
    v_cursor := convert_from(decode(p_cursor, 'hex'), 'UTF8')::json;
    if v_cursor ->> 1 = robot_brain.list_filter(p_list) then
      v_place := v_cursor -> 0;
      created_at := to_timestamp(0) + (v_place ->> 0)::bigint * interval '1 microsecond';
      session_id := v_place ->> 1;
      seq := v_place ->> 2;
      score := v_place ->> 3;
      from_time := to_timestamp(0) + (v_place ->> 4)::bigint * interval '1 microsecond';
      from_session := v_place ->> 5;
      from_seq := v_place ->> 6;
      to_time := to_timestamp(0) + (v_place ->> 7)::bigint * interval '1 microsecond';
      to_session := v_place ->> 8;
      to_seq := v_place ->> 9;
      is_complete := v_place ->> 10;
      goes_on := v_place ->> 11;
    end if;
  exception
    when data_exception then
      created_at := null;
  end;
  if created_at is null or session_id is null or seq is null
    or (from_time is not null and (is_complete is null or goes_on is null))
  then
    raise exception using
      errcode = 'RB428',
      message = 'the cursor is unreadable, or was made for another search',
      hint = 'Begin without a cursor.';
  end if;
end
$$;
