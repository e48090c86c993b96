-- Step of find_turns. Return the index of the last queued turn of a part: at most 100 turns from p_next on, none below the
-- place p_low. The arrays have the turns newest first.
set local role robot_brain_search;

create or replace function robot_brain.queued_upto(
  p_times timestamptz[],
  p_sessions text[],
  p_seqs integer[],
  p_next integer,
  p_low_time timestamptz,
  p_low_session text,
  p_low_seq integer
)
returns integer
language plpgsql
stable
as $$
begin
  return (
    select p_next - 1 + count(*)
    from unnest(p_times[p_next:p_next + 99], p_sessions[p_next:p_next + 99], p_seqs[p_next:p_next + 99]) q (t, s, n)
    where (q.t, q.s collate "C", q.n) >= (p_low_time, p_low_session, p_low_seq)
  );
end
$$;
