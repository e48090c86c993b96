-- Step of read_session, for a session that lost turns: its seqs have gaps. Returns the seqs of the first and the last turn
-- of a page. The page has the p_limit newest turns between two seqs, or with p_newest false the oldest ones. Both are
-- null if there is no turn.
set local role robot_brain_owner;

create or replace function robot_brain.page_ends(
  p_session robot_brain.sessions,
  p_from bigint,
  p_to bigint,
  p_newest boolean,
  p_limit integer,
  out first bigint,
  out last bigint
)
language plpgsql
as $$
begin
  if p_newest then
    select min(t.seq), max(t.seq) into first, last
    from (
      select c.seq
      from robot_brain.conversations c
      where c.tenant_id = p_session.tenant_id
        and c.session_id = p_session.id
        and c.created_at between p_session.created_at and p_session.last_active
        and c.seq between p_from and p_to
      order by c.seq desc
      limit p_limit
    ) t;
  else
    select min(t.seq), max(t.seq) into first, last
    from (
      select c.seq
      from robot_brain.conversations c
      where c.tenant_id = p_session.tenant_id
        and c.session_id = p_session.id
        and c.created_at between p_session.created_at and p_session.last_active
        and c.seq between p_from and p_to
      order by c.seq
      limit p_limit
    ) t;
  end if;
end
$$;
