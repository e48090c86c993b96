-- Step of list_sessions. Return a path of a request as a predicate for @@, or null without one. A path that selects by a
-- filter, $.likes ? (@.kind == "tea"), becomes exists ($."likes"?(@."kind" == "tea")).
-- It may compare fields with values by == alone, joined by && and ||, because the index answers only that. Another kind of
-- path would read each session, and some would take seconds for one session: like_regex, **, or $ within a filter.
-- Raises RB431, with the reason in DETAIL.
set local role robot_brain_owner;

create or replace function robot_brain.metadata_path(p_path text)
returns jsonpath
language plpgsql
immutable
as $$
declare
  c_longest constant integer := 500;
  v_path jsonpath;
  v_left text;
  v_before text := '';
begin
  if p_path is null then
    return null;
  end if;
  if length(p_path) not between 1 and c_longest then
    raise exception using
      errcode = 'RB431', message = 'a path has 1 to 500 characters', detail = '{"path": "length"}';
  end if;
  begin
    v_path := p_path::jsonpath;
  exception
    when data_exception or syntax_error_or_access_rule_violation or feature_not_supported or program_limit_exceeded then
      raise exception using errcode = 'RB431', message = 'the path is no jsonpath', detail = '{"path": "syntax"}';
  end;

  -- Judge the text that PostgreSQL makes of the path, because it has one form for each meaning.
  v_left := v_path::text;
  -- 1e100000 has 100,000 digits here.
  if length(v_left) > 4000 then
    raise exception using errcode = 'RB431', message = 'a number of the path is too long', detail = '{"path": "length"}';
  end if;
  -- A string or a field becomes s, and another value 1.
  v_left := replace(regexp_replace(v_left, '"(?:[^"\\]|\\.)*"', 's', 'g'), ' ', '');
  v_left := regexp_replace(v_left, '-?\d+(\.\d+)?|true|false|null', '1', 'g');
  -- Take away what is allowed, from the inside out. $ is a path, F one with a filter, R is true or false. In a filter
  -- these are @ and C.
  while v_left <> v_before loop
    v_before := v_left;
    v_left := regexp_replace(v_left, '([$F@])(?:\.s|\[\*\]|\[1\])+', '\1', 'g');
    v_left := regexp_replace(v_left, '@==[1s]|[1s]==@', 'C', 'g');
    v_left := regexp_replace(v_left, '[$F]==[1s]|[1s]==[$F]', 'R', 'g');
    v_left := regexp_replace(v_left, '([RC])(?:(?:&&|\|\|)\1)+', '\1', 'g');
    v_left := regexp_replace(v_left, '[$F]\?\(C\)', 'F', 'g');
    v_left := regexp_replace(v_left, '@\?\(C\)', '@', 'g');
    v_left := regexp_replace(v_left, '(?<!\?)\(([RC])\)', '\1', 'g');
  end loop;
  if v_left = 'R' then
    return v_path;
  elsif v_left = 'F' then
    return format('exists (%s)', v_path)::jsonpath;
  end if;
  raise exception using
    errcode = 'RB431', message = 'the path does more than to compare fields with values by ==', detail = '{"path": "kind"}';
end
$$;
