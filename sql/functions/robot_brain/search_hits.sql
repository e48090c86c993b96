-- Step of search. Return the turns of a page as its hits, in the order of the arrays. A turn that was removed meanwhile is
-- left out. The policy of the tenant applies here, too.
-- The plan is kept, because the turns may lie in many months. It opens only the months of these turns.
set local role robot_brain_owner;

create or replace function robot_brain.search_hits(
  p_tenant_id text,
  p_times timestamptz[],
  p_sessions text[],
  p_seqs integer[],
  p_scores real[],
  p_query tsquery,
  p_in text
)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
  -- Without turns, the plan below would still open all months.
  if coalesce(cardinality(p_seqs), 0) = 0 then
    return '[]';
  end if;
  return coalesce(
    (
      select json_agg(
        case when h.score is null then json_build_object(
          'session_id', c.session_id,
          'seq', c.seq,
          'created_at', robot_brain.iso_time(c.created_at),
          'robot_personality', c.robot_personality,
          'snippet', robot_brain.snippet(c.user_message, c.robot_response, p_query, p_in)
        )
        else json_build_object(
          'session_id', c.session_id,
          'seq', c.seq,
          'created_at', robot_brain.iso_time(c.created_at),
          'robot_personality', c.robot_personality,
          'snippet', robot_brain.snippet(c.user_message, c.robot_response, p_query, p_in),
          'score', round(h.score::numeric, 4)
        )
        end
        order by h.n
      )
      from unnest(p_times, p_sessions, p_seqs, p_scores) with ordinality h (created_at, session_id, seq, score, n)
      join robot_brain.conversations c
        on c.tenant_id = p_tenant_id
        and c.session_id = h.session_id
        and c.seq = h.seq
        and c.created_at = h.created_at
    ),
    '[]'
  );
end
$$;
