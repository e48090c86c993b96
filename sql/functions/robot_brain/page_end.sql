-- Step of read_session, for a session that lost turns: its seqs have gaps. Returns the seq of the page's other end: the
-- p_limit-th turn at or below p_last, or with p_newest false the p_limit-th turn at or above p_first. If there are fewer
-- turns, returns the seq of the last one of them; null if there is no turn.
set local role robot_brain_owner;

create or replace function robot_brain.page_end(
  p_session robot_brain.sessions, p_first bigint, p_last bigint, p_newest boolean, p_limit integer
)
returns bigint
language plpgsql
stable
as $$
begin
  if p_newest then
    return (
      select min(t.seq)
      from (
        select c.seq
        from robot_brain.conversations c
        where c.tenant_id = p_session.tenant_id
          and c.session_id = p_session.id
          and c.created_at between p_session.created_at and p_session.last_active
          and c.seq <= p_last
        order by c.seq desc
        limit p_limit
      ) t
    );
  end if;
  return (
    select max(t.seq)
    from (
      select c.seq
      from robot_brain.conversations c
      where c.tenant_id = p_session.tenant_id
        and c.session_id = p_session.id
        and c.created_at between p_session.created_at and p_session.last_active
        and c.seq between p_first and p_last
      order by c.seq
      limit p_limit
    ) t
  );
end
$$;
