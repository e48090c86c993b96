-- Return the signs of the scripts that put no spaces between words, as ranges for a regular expression: Thai and Lao,
-- Tibetan, Burmese, Khmer, Japanese and Chinese.
set local role robot_brain_search;

create or replace function robot_brain.spaceless_signs()
returns text
language sql
immutable
parallel safe
return '\u0E00-\u0EFF\u0F00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3100-\u312F\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0003FFFF';

grant execute on function robot_brain.spaceless_signs to robot_brain_owner;
