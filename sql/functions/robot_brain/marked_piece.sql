-- Step of snippet. Return the best parts of a text as HTML: the words of the query are in <mark>, and all other signs are
-- escaped.
-- ts_headline gets the signs that the words were made of (plain_text). Each of its parts is then found in the text itself.
-- Both have the same length, but for the spaces around signs of scripts without spaces.
set local role robot_brain_owner;

create or replace function robot_brain.marked_piece(p_text text, p_query tsquery)
returns text
language plpgsql
stable
as $$
declare
  -- These signs are the marks of ts_headline.
  v_text constant text := replace(replace(replace(p_text, e'\x02', ' '), e'\x03', ' '), e'\x04', ' ');
  v_folded constant text := robot_brain.folded_text(v_text);
  v_fragment text;
  v_pieces text[];
  v_at integer := 1;
  v_skipped integer;
  v_piece text;
  v_html text := '';
begin
  foreach v_fragment in array string_to_array(
    ts_headline(
      robot_brain.search_language(), robot_brain.plain_text(v_text), p_query,
      e'StartSel="\x02", StopSel="\x03", FragmentDelimiter="\x04", MaxFragments=2, MaxWords=24, MinWords=8, ShortWord=0'
    ),
    e'\x04'
  ) loop
    if octet_length(v_fragment) <> length(v_fragment) then
      v_fragment := regexp_replace(
        v_fragment, e' ?(\x02?[' || robot_brain.spaceless_signs() || e']\x03?) ?', '\1', 'g'
      );
    end if;
    -- Odd pieces are not marked, even ones are. The parts come in the order of the text.
    v_pieces := regexp_split_to_array(v_fragment, e'[\x02\x03]');
    v_skipped := strpos(substr(v_folded, v_at), array_to_string(v_pieces, ''));
    v_at := v_at + greatest(v_skipped, 1) - 1;
    v_html := v_html || case when v_html = '' then '' else ' … ' end;
    for n in 1 .. cardinality(v_pieces) loop
      v_piece := v_pieces[n];
      if v_skipped > 0 then
        v_piece := substr(v_text, v_at, length(v_pieces[n]));
        v_at := v_at + length(v_pieces[n]);
      end if;
      v_piece := replace(replace(replace(v_piece, '&', '&amp;'), '<', '&lt;'), '>', '&gt;');
      v_piece := replace(replace(v_piece, '"', '&quot;'), '''', '&#39;');
      v_html := v_html || case when n % 2 = 0 then '<mark>' || v_piece || '</mark>' else v_piece end;
    end loop;
  end loop;
  return replace(v_html, '</mark><mark>', '');
end
$$;
