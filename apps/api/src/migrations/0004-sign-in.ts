import type { Migration } from './migration.ts'

export const signIn: Migration = {
  name: '0004-sign-in',
  up: `
alter table users
  -- A PHC string, or one of bcrypt from before. Null: nobody can sign in with a password.
  add column password_hash text check (length(password_hash) between 50 and 300),
  add column password_changed_at timestamptz,
  -- Sessions and tokens that began before are over, also where that could not be told to whoever keeps them.
  add column sessions_valid_after timestamptz;
alter table tenants add column sessions_valid_after timestamptz;

-- What every process asks for now and then.
create index users_by_cutoff on users (sessions_valid_after) where sessions_valid_after is not null;
create index tenants_by_cutoff on tenants (sessions_valid_after) where sessions_valid_after is not null;

-- Whoever becomes another role, or is suspended, signs in again, whoever has written that.
create function end_sign_ins() returns trigger language plpgsql as $$
begin
  new.sessions_valid_after := clock_timestamp();
  return new;
end
$$;

create trigger users_end_sign_ins before update of role, status, tenant_id on users for each row
  when ((old.role, old.status, old.tenant_id) is distinct from (new.role, new.status, new.tenant_id))
  execute function end_sign_ins();
create trigger tenants_end_sign_ins before update of status on tenants for each row
  when (old.status is distinct from new.status) execute function end_sign_ins();

-- Whoever has registered and not yet shown that the mailbox is his. There is no user before that, so nobody can take
-- an address, or choose the password of somebody else's account, by being the first to register it.
create table registrations (
  token_digest bytea primary key check (octet_length(token_digest) = 32),
  tenant_id bigint not null references tenants (id) on delete cascade,
  email text not null check (email = lower(email) and email ~ '^[^@[:space:]]+@[^@[:space:]]+$' and length(email) <= 254),
  password_hash text not null check (length(password_hash) between 50 and 300),
  expires_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);

create index registrations_by_expiry on registrations (expires_at);
create index registrations_by_tenant on registrations (tenant_id);

create table password_resets (
  token_digest bytea primary key check (octet_length(token_digest) = 32),
  user_id bigint not null references users (id) on delete cascade,
  expires_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);

create index password_resets_by_user on password_resets (user_id);
create index password_resets_by_expiry on password_resets (expires_at);

-- One sign-in of a client that keeps tokens, and all refresh tokens that came of it.
create table refresh_families (
  id uuid primary key,
  user_id bigint not null references users (id) on delete cascade,
  -- What the client called itself.
  client text check (length(client) <= 200),
  -- When the password was given.
  created_at timestamptz not null default clock_timestamp(),
  last_used_at timestamptz not null default clock_timestamp(),
  -- However often it is refreshed.
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_why text check (revoked_why in ('logout', 'revoked', 'reuse', 'password', 'evicted')),
  check ((revoked_at is null) = (revoked_why is null))
);

create index refresh_families_by_user on refresh_families (user_id, created_at);

create table refresh_tokens (
  token_digest bytea primary key check (octet_length(token_digest) = 32),
  family_id uuid not null references refresh_families (id) on delete cascade,
  -- The one it came of; null for the first.
  parent_digest bytea unique,
  expires_at timestamptz not null,
  used_at timestamptz,
  -- The one that came of it, readable with this token alone.
  sealed_successor bytea check (octet_length(sealed_successor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  check ((used_at is null) = (sealed_successor is null))
);

create index refresh_tokens_by_family on refresh_tokens (family_id, used_at);

-- Ends of sessions that Redis could not be told, for whichever process finds it first.
create table session_revocations (
  name text primary key check (length(name) <= 160),
  entry text not null check (length(entry) <= 1024),
  noted_at timestamptz not null default clock_timestamp()
);
`,
  down: `
drop table session_revocations;
drop table refresh_tokens;
drop table refresh_families;
drop table password_resets;
drop table registrations;
drop trigger users_end_sign_ins on users;
drop trigger tenants_end_sign_ins on tenants;
drop function end_sign_ins();
alter table tenants drop column sessions_valid_after;
alter table users
  drop column sessions_valid_after,
  drop column password_changed_at,
  drop column password_hash;
`,
}
