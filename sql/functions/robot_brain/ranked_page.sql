-- Step of search. Return a page of the turns that find_turns has ranked, best first, and the place of the next page, or null
-- after the last page. The place has the score of the page's last turn, and the newest and oldest place of all ranked turns.
-- So a later page ranks the same turns again, whatever is written meanwhile.
-- is_complete is false if older turns were left out. If the time was spent before 2,000 turns were found, the page after
-- the last of the ranked turns ranks older ones.
set local role robot_brain_owner;

create or replace function robot_brain.ranked_page(
  p_found record,
  p_cursor record,
  p_limit integer,
  out times timestamptz[],
  out sessions text[],
  out seqs integer[],
  out scores real[],
  out place json,
  out is_complete boolean
)
language plpgsql
stable
as $$
declare
  v_begins constant boolean := p_cursor.from_time is null;
  v_more boolean;
  v_goes_on boolean;
  v_low json;
begin
  select
    coalesce(array_agg(r.t) filter (where r.n <= p_limit), '{}'),
    array_agg(r.s) filter (where r.n <= p_limit),
    array_agg(r.q) filter (where r.n <= p_limit),
    array_agg(r.score) filter (where r.n <= p_limit),
    count(*) > p_limit
  into times, sessions, seqs, scores, v_more
  from (
    select f.*, row_number() over (order by f.score desc, f.t desc, f.s collate "C" desc, f.q desc) as n
    from unnest(p_found.times, p_found.sessions, p_found.seqs, p_found.scores) f (t, s, q, score)
    where (p_cursor.score is null
        or (f.score, f.t, f.s collate "C", f.q) < (p_cursor.score, p_cursor.created_at, p_cursor.session_id, p_cursor.seq))
      and (p_cursor.from_time is null
        or (f.t, f.s collate "C", f.q) >= (p_cursor.from_time, p_cursor.from_session, p_cursor.from_seq))
    order by n
    limit p_limit + 1
  ) r;
  is_complete := case when v_begins then p_found.has_ended and p_found.is_filled else p_cursor.is_complete end;
  v_goes_on := case when v_begins then not p_found.has_ended and cardinality(p_found.times) < 2000 else p_cursor.goes_on end;
  v_low := case when v_begins
    then robot_brain.search_place(p_found.low_time, p_found.low_session, p_found.low_seq)
    else robot_brain.search_place(p_cursor.from_time, p_cursor.from_session, p_cursor.from_seq) end;
  if v_more then
    place := (
      select json_agg(e.value order by p.n, e.n)
      from (values
        (1, robot_brain.search_place(times[p_limit], sessions[p_limit], seqs[p_limit])),
        (2, json_build_array(scores[p_limit])),
        (3, v_low),
        (4, case when v_begins
          then robot_brain.search_place(p_found.times[1], p_found.sessions[1], p_found.seqs[1] + 1)
          else robot_brain.search_place(p_cursor.to_time, p_cursor.to_session, p_cursor.to_seq) end),
        (5, json_build_array(is_complete, v_goes_on))
      ) p (n, part)
      cross join lateral json_array_elements(p.part) with ordinality e (value, n)
    );
  elsif v_goes_on then
    -- without a score and an oldest place
    place := (
      select json_agg(e.value order by p.n, e.n)
      from (values (1, v_low), (2, '[null, null, null, null]'), (3, v_low)) p (n, part)
      cross join lateral json_array_elements(p.part) with ordinality e (value, n)
    );
  end if;
end
$$;
