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

-- Whoever becomes another role, or is suspended, signs in again, whoever has written that. The moment is that of the
-- trigger, which waits for whoever has locked the row: a sign-in that is dated meanwhile is older.
create function end_sign_ins() returns trigger language plpgsql as $$
begin
  new.sessions_valid_after := clock_timestamp();
  return new;
end
$$;

create trigger users_end_sign_ins before update of role, status, tenant_id, sessions_valid_after on users for each row
  when ((old.role, old.status, old.tenant_id, old.sessions_valid_after)
    is distinct from (new.role, new.status, new.tenant_id, new.sessions_valid_after))
  execute function end_sign_ins();
create trigger tenants_end_sign_ins before update of status, sessions_valid_after on tenants for each row
  when ((old.status, old.sessions_valid_after) is distinct from (new.status, new.sessions_valid_after))
  execute function end_sign_ins();

-- Whoever is no more, so that the same holds for them.
create table ended_sign_ins (
  -- user:<id> or tenant:<slug>
  holder text primary key check (length(holder) <= 100),
  at timestamptz not null
);

create index ended_sign_ins_by_time on ended_sign_ins (at);

create function note_ended_sign_ins() returns trigger language plpgsql as $$
begin
  -- No sign-in lasts for so long.
  delete from ended_sign_ins where at < clock_timestamp() - interval '31 days';
  insert into ended_sign_ins (holder, at)
  values (
    case tg_table_name when 'users' then 'user:' || (to_jsonb(old) ->> 'id') else 'tenant:' || (to_jsonb(old) ->> 'slug') end,
    clock_timestamp()
  )
  on conflict (holder) do update set at = excluded.at;
  return null;
end
$$;

create trigger users_note_ended_sign_ins after delete on users for each row execute function note_ended_sign_ins();
create trigger tenants_note_ended_sign_ins after delete on tenants for each row execute function note_ended_sign_ins();

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
  -- Null: there is no such account. A row all the same, so that asking takes as long, and no mail.
  user_id bigint references users (id) on delete cascade,
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
  created_at timestamptz not null default clock_timestamp(),
  -- When the password was last given. It is over when that was before sessions_valid_after of its user or tenant.
  authenticated_at timestamptz not null default clock_timestamp(),
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
drop trigger users_note_ended_sign_ins on users;
drop trigger tenants_note_ended_sign_ins on tenants;
drop function note_ended_sign_ins();
drop table ended_sign_ins;
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
