-- Step of read_session. Returns the seq of the last turn that fits into an answer, counted from the page's newest turn,
-- or from its oldest. At least one turn fits. Returns null if the page is empty.
--   p_first, p_last   the page's seqs
--   p_newest          fill the answer from the newest turn, otherwise from the oldest
-- The loop is one scan, which ends as soon as the answer is full. With `offset 0` PostgreSQL sorts the rows before it
-- measures them. So it reads long texts from their separate storage (TOAST) only for the measured turns.
set local role robot_brain_owner;

drop function if exists robot_brain.fitting_turns;

create or replace function robot_brain.fitting_turns(
  p_session robot_brain.sessions, p_first bigint, p_last bigint, p_newest boolean, p_max_chars bigint, p_max_bytes bigint
)
returns bigint
language plpgsql
as $$
declare
  v_turn record;
  v_bytes bigint := 0;
  v_chars bigint := 0;
  v_seq bigint;
begin
  for v_turn in
    select
      c.seq,
      length(c.user_message) + length(c.robot_response) as chars,
      -- The whole row, escaped as Lambda does. The answer is shorter, because its turns have fewer and shorter members.
      octet_length(to_json(to_json(c)::text)::text) as bytes
    from (
      select m.*
      from robot_brain.conversations m
      where m.tenant_id = p_session.tenant_id
        and m.session_id = p_session.id
        and m.created_at between p_session.created_at and p_session.last_active
        and m.seq between p_first and p_last
      order by case when p_newest then -m.seq else m.seq end
      offset 0
    ) c
  loop
    v_bytes := v_bytes + v_turn.bytes;
    v_chars := v_chars + v_turn.chars;
    exit when v_seq is not null and (v_bytes > p_max_bytes or v_chars > p_max_chars);
    v_seq := v_turn.seq;
  end loop;
  return v_seq;
end
$$;
