-- The columns of users and their profiles, and the erasures of users.
-- squawk-ignore-file ban-drop-table

set local lock_timeout = '5s';
set local statement_timeout = '60s';

set local role robot_brain_owner;

do $$
begin
  -- Without a tenant a forced policy shows no row. The tables are dropped below.
  alter table robot_brain.users no force row level security;
  alter table robot_brain.user_profiles no force row level security;
  if exists (select from robot_brain.users) or exists (select from robot_brain.user_profiles) then
    raise exception 'robot_brain.users or robot_brain.user_profiles has rows, which no release has written'
      using hint = 'Copy the rows to another table, delete them, and run make migrate again.';
  end if;
end
$$;

drop table robot_brain.user_profiles;
drop table robot_brain.users;

-- People. A user needs no row here to have sessions.
create table robot_brain.users (
  tenant_id varchar(128) not null,
  -- what the identity provider calls the person, or a UUID that the layer made
  id varchar(255) not null,
  email varchar(254),
  -- The layer makes it of the e-mail: Unicode NFKC and case folding. Before PostgreSQL 18 SQL cannot fold case.
  email_key text,
  -- made elsewhere, and never returned
  password_hash varchar(512),
  -- of the idempotency key that made the user. An erasure empties the answer that is remembered for it.
  key_hash bytea,
  -- The entity tag. It begins at random, so that no tag of an erased user of this id fits.
  version bigint not null default floor(random() * 281474976710656)::bigint,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint users_pkey primary key (tenant_id, id)
);

-- The tables were made by this file, so no request waits for their indexes.
-- squawk-ignore require-concurrent-index-creation
create unique index users_email_key on robot_brain.users (tenant_id, email_key) where email_key is not null;
comment on index robot_brain.users_email_key is 'list_users: the user with an e-mail, which is unique in a tenant';

-- squawk-ignore require-concurrent-index-creation
create index users_listed_idx on robot_brain.users (tenant_id, created_at desc, id collate "C" desc);
comment on index robot_brain.users_listed_idx is 'list_users: the users of a tenant, newest first';

create table robot_brain.user_profiles (
  tenant_id varchar(128) not null,
  id uuid not null default gen_random_uuid(),
  user_id varchar(255) not null,
  first_name varchar(100),
  last_name varchar(100),
  avatar_url varchar(2048),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint user_profiles_pkey primary key (tenant_id, id),
  constraint user_profiles_user_key unique (tenant_id, user_id),
  constraint user_profiles_user_fkey foreign key (tenant_id, user_id)
    references robot_brain.users (tenant_id, id) on delete cascade
);
comment on index robot_brain.user_profiles_user_key is 'read_user, list_users: the profile of a user';

-- Erasures of users that are not finished, and for an hour those that are. So a late attempt to create a user never
-- creates an erased one again.
create table robot_brain.user_erasures (
  tenant_id varchar(128) not null,
  -- SHA-256 of the user's id, because the id may name a person
  user_hash bytea not null,
  -- null if the erasure is finished
  user_id varchar(255),
  begun_at timestamptz not null,
  -- null if no user of this id was erased yet
  erased_at timestamptz,
  constraint user_erasures_pkey primary key (tenant_id, user_hash)
);
-- squawk-ignore require-concurrent-index-creation
create index user_erasures_unfinished_idx on robot_brain.user_erasures (begun_at) where user_id is not null;
comment on index robot_brain.user_erasures_unfinished_idx is 'next_erasure, erase_another: the erasures that are not finished';

do $$
declare
  v_table text;
begin
  foreach v_table in array array['users', 'user_profiles', 'user_erasures'] loop
    execute format('alter table robot_brain.%I enable row level security', v_table);
    execute format('alter table robot_brain.%I force row level security', v_table);
    execute format(
      'create policy tenant on robot_brain.%I to robot_brain_owner using (tenant_id = nullif(pg_catalog.current_setting(%L, true), %L))',
      v_table, 'robot_brain.tenant_id', ''
    );
  end loop;
end
$$;

-- next_erasure deletes the old rows of all tenants.
create policy expired on robot_brain.user_erasures to robot_brain_stats using (true);
-- A row lock needs a right to update.
grant select, delete, update (erased_at) on robot_brain.user_erasures to robot_brain_stats;

reset role;
