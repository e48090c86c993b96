-- Step of fill_words. Make the words of the oldest queued turns, and take them off the queue. Returns their number, or
-- null if the queue is empty. A row of the queue without a turn just goes, because its turn was removed.
set local role robot_brain_search;

create or replace function robot_brain.fill_queued(p_turns integer, p_bytes integer)
returns integer
language plpgsql
as $$
declare
  v_month timestamptz;
  v_ids bigint[];
  v_sessions text[];
  v_tenants text[];
  v_seqs integer[];
  v_rows bigint[];
  v_cut bigint;
  v_cut_seq integer;
  v_made integer;
begin
  -- Rows of one month, because the plans below read one month. Each row has up to 100 turns.
  select date_trunc('month', q.day::timestamptz) into v_month
  from robot_brain.search_queue q
  order by q.id
  limit 1;
  if not found then
    return null;
  end if;
  select array_agg(o.id) into v_ids
  from (
    select q.id, q.day, sum(q.to_seq - q.from_seq + 1) over (order by q.id) as turns, row_number() over (order by q.id) as n
    from (select * from robot_brain.search_queue q order by q.id limit p_turns) q
  ) o
  where (o.turns <= p_turns or o.n = 1)
    and o.day >= v_month::date
    and o.day < (v_month + interval '1 month')::date;

  -- As many turns as have few enough bytes, at least one.
  select
    array_agg(t.tenant_id) filter (where t.fits),
    array_agg(t.session_id) filter (where t.fits),
    array_agg(t.seq) filter (where t.fits),
    array_agg(t.id) filter (where t.fits),
    (array_agg(t.id order by t.id, t.seq) filter (where not t.fits))[1],
    (array_agg(t.seq order by t.id, t.seq) filter (where not t.fits))[1]
  into v_tenants, v_sessions, v_seqs, v_rows, v_cut, v_cut_seq
  from (
    select
      q.id, c.tenant_id, c.session_id, c.seq,
      sum(least(octet_length(c.user_message), 65536) + least(octet_length(c.robot_response), 65536))
        over (order by q.id, c.seq) <= p_bytes
        or row_number() over (order by q.id, c.seq) = 1 as fits
    from robot_brain.search_queue q
    cross join lateral (
      select t.*
      from robot_brain.conversations t
      where t.tenant_id = q.tenant_id
        and t.session_id = q.session_id
        and t.seq between q.from_seq and q.to_seq
        and t.created_at >= v_month
        and t.created_at < v_month + interval '1 month'
      -- Without statistics, the planner would look through the queue for each turn of the month.
      offset 0
    ) c
    where q.id = any (v_ids)
  ) t;

  perform robot_brain.add_words_month(v_month);
  insert into robot_brain.turn_words (tenant_id, session_id, seq, created_at, words)
  select
    c.tenant_id, c.session_id, c.seq, c.created_at,
    robot_brain.words_of(
      c.tenant_id, c.session_id, c.created_at, c.robot_personality, c.user_message, c.robot_response, c.metadata
    )
  from unnest(v_tenants, v_sessions, v_seqs) q (tenant_id, session_id, seq)
  cross join lateral (
    select t.*
    from robot_brain.conversations t
    where t.tenant_id = q.tenant_id
      and t.session_id = q.session_id
      and t.seq = q.seq
      and t.created_at >= v_month
      and t.created_at < v_month + interval '1 month'
    offset 0
  ) c
  -- A row that exists is true.
  on conflict do nothing;
  get diagnostics v_made = row_count;

  delete from robot_brain.search_queue q where q.id = any (v_ids) and (v_cut is null or q.id < v_cut);
  update robot_brain.search_queue q set from_seq = v_cut_seq where q.id = v_cut;
  perform robot_brain.merge_words(v_month);
  return v_made;
end
$$;
