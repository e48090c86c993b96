-- Return the lexemes of the top-level fields of metadata that are no objects or arrays. A lexeme is a hash, because a
-- value may be larger than a lexeme. Equal numbers have equal lexemes, as in jsonb.
set local role robot_brain_search;

create or replace function robot_brain.metadata_lexemes(p_metadata jsonb)
returns text[]
language plpgsql
immutable
as $$
begin
  return array(
    select e'\x04' || left(encode(sha256(convert_to(
      m.key || e'\x01' || case jsonb_typeof(m.value) when 'number' then trim_scale(m.value::numeric)::text else m.value::text end,
      'UTF8'
    )), 'hex'), 24)
    from jsonb_each(p_metadata) m
    where jsonb_typeof(m.value) not in ('object', 'array')
  );
end
$$;

grant execute on function robot_brain.metadata_lexemes to robot_brain_owner;
