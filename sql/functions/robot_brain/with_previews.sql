-- Step of list_sessions. Returns sessions as JSON, each with the beginning of its last turn, if it has a turn.
set local role robot_brain_owner;

create or replace function robot_brain.with_previews(p_page robot_brain.sessions[])
returns json
language plpgsql
as $$
begin
  return (
    select json_agg(
      case
        when t.seq is null then robot_brain.session_json(p_page[n])
        else (
          left(robot_brain.session_json(p_page[n])::text, -1) || ', "preview" : ' || json_build_object(
            'seq', t.seq, 'user_message', t.user_message, 'robot_response', t.robot_response
          )::text || '}'
        )::json
      end
      order by n
    )
    from generate_subscripts(p_page, 1) n
    left join lateral (
      select c.seq, left(c.user_message, 200) as user_message, left(c.robot_response, 200) as robot_response
      from robot_brain.conversations c
      where c.tenant_id = (p_page[n]).tenant_id
        and c.session_id = (p_page[n]).id
        and c.created_at between (p_page[n]).created_at and (p_page[n]).last_active
        and c.seq <= (p_page[n]).message_count + (p_page[n]).removed
      order by c.seq desc
      limit 1
    ) t on true
  );
end
$$;
