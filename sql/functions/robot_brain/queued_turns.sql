-- Step of find_turns. Return the turns of a tenant whose words are missing, newest first, as arrays. They are in uncounted
-- until a refresh, and then in search_queue until fill_words. One statement reads both, so no turn is between them.
--   p_session_id         only turns of this session, or null
--   p_from, p_to         only turns of this time, without p_to itself
--   sizes                the bytes of their texts of which words are made
--   next                 the index of the first turn before the place p_time, p_session, p_seq
set local role robot_brain_search;

create or replace function robot_brain.queued_turns(
  p_tenant_id text,
  p_session_id text,
  p_from timestamptz,
  p_to timestamptz,
  p_time timestamptz,
  p_session text,
  p_seq integer,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out sizes integer[],
  out next integer
)
language plpgsql
stable
as $$
declare
  v_sessions text[];
  v_from integer[];
  v_to integer[];
  v_days date[];
  v_month timestamptz;
  v_found record;
begin
  times := '{}';
  sessions := '{}';
  seqs := '{}';
  sizes := '{}';
  select array_agg(e.session_id), array_agg(e.from_seq), array_agg(e.to_seq), array_agg(e.day)
  into v_sessions, v_from, v_to, v_days
  from (
    select u.session_id, u.from_seq, u.to_seq, u.day
    from robot_brain.uncounted u
    where u.tenant_id = p_tenant_id and u.session_id is not null
    union all
    select q.session_id, q.from_seq, q.to_seq, q.day from robot_brain.search_queue q where q.tenant_id = p_tenant_id
  ) e
  where (p_session_id is null or e.session_id = p_session_id)
    and e.day::timestamptz > p_from - interval '1 day'
    and e.day::timestamptz < p_to;

  -- Each statement reads one month. Newest first, so the arrays are in order.
  for v_month in
    select distinct date_trunc('month', d::timestamptz) as month from unnest(v_days) d order by month desc
  loop
    select
      array_agg(t.created_at order by t.created_at desc, t.session_id desc, t.seq desc) as times,
      array_agg(t.session_id order by t.created_at desc, t.session_id desc, t.seq desc) as sessions,
      array_agg(t.seq order by t.created_at desc, t.session_id desc, t.seq desc) as seqs,
      array_agg(t.size order by t.created_at desc, t.session_id desc, t.seq desc) as sizes
    into v_found
    from (
      select distinct c.created_at, c.session_id collate "C" as session_id, c.seq, c.size
      from unnest(v_sessions, v_from, v_to, v_days) e (session_id, from_seq, to_seq, day)
      cross join lateral (
        select
          t.created_at, t.session_id, t.seq,
          least(octet_length(t.user_message), 65536) + least(octet_length(t.robot_response), 65536) as size
        from robot_brain.conversations t
        where t.tenant_id = p_tenant_id
          and t.session_id = e.session_id
          and t.seq between e.from_seq and e.to_seq
          and t.created_at >= v_month
          and t.created_at < v_month + interval '1 month'
          and t.created_at >= p_from
          and t.created_at < p_to
        -- Without statistics, the planner would look through the queue for each turn of the month.
        offset 0
      ) c
      where date_trunc('month', e.day::timestamptz) = v_month
    ) t;
    times := times || coalesce(v_found.times, '{}');
    sessions := sessions || coalesce(v_found.sessions, '{}');
    seqs := seqs || coalesce(v_found.seqs, '{}');
    sizes := sizes || coalesce(v_found.sizes, '{}');
  end loop;
  next := 1;
  while (times[next], sessions[next] collate "C", seqs[next]) >= (p_time, p_session, p_seq) loop
    next := next + 1;
  end loop;
end
$$;
