-- The index of the sessions' metadata.
-- outside a transaction
--
-- It is made concurrently, so that requests continue. It comes before 0008, because 0008 must be committed together with
-- the functions of this release.
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction, prefer-robust-stmts, require-statement-timeout

set lock_timeout = '5s';
set role robot_brain_owner;

drop index concurrently if exists robot_brain.sessions_metadata_idx;
-- The tenant is the first step of each path. So a search reads no entry of another tenant, and its time depends on none.
-- Only jsonb_set is immutable and makes an object of the two.
create index concurrently sessions_metadata_idx on robot_brain.sessions
using gin (jsonb_set('{}', array[tenant_id::text], user_metadata) jsonb_path_ops)
-- With its list of pending entries, one write in 15,000 merged 4 MB of them, which took 190 ms.
with (fastupdate = off)
-- A session without metadata costs nothing.
where user_metadata <> '{}';
comment on index robot_brain.sessions_metadata_idx is 'match_metadata: the sessions of a tenant whose metadata has some values';
