-- Step of search. Return a page of what find_turns has found: up to p_limit turns, newest first, and the place of the next
-- page, or null after the last page. find_turns has looked for one turn more than the page has.
set local role robot_brain_owner;

create or replace function robot_brain.newest_page(
  p_found record,
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
  v_more constant boolean := cardinality(p_found.times) > p_limit;
begin
  times := p_found.times[:p_limit];
  sessions := p_found.sessions[:p_limit];
  seqs := p_found.seqs[:p_limit];
  scores := p_found.scores[:p_limit];
  if v_more then
    place := robot_brain.search_place(times[p_limit], sessions[p_limit], seqs[p_limit]);
  elsif not p_found.has_ended then
    place := robot_brain.search_place(p_found.low_time, p_found.low_session, p_found.low_seq);
  end if;
  is_complete := case when place is null then p_found.is_filled else cardinality(times) = p_limit end;
end
$$;
