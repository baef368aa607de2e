import type { Migration } from './migration.ts'

export const usersAndBots: Migration = {
  name: '0003-users-and-bots',
  up: `
create table users (
  id bigint generated always as identity primary key,
  tenant_id bigint not null references tenants (id) on delete cascade,
  -- In lower case, so that one mailbox is one user.
  email text not null check (email = lower(email) and email ~ '^[^@[:space:]]+@[^@[:space:]]+$' and length(email) <= 254),
  role text not null default 'user' check (role in ('user', 'operator', 'admin')),
  status text not null default 'active' check (status in ('active', 'suspended')),
  -- Who wrote to a bot of this user last had this fence. Whoever has none that is larger comes too late: somebody else
  -- has taken over.
  fence_of_last_operation bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  unique (tenant_id, email)
);

create table bots (
  id bigint generated always as identity primary key,
  user_id bigint not null references users (id) on delete cascade,
  name text not null check (length(name) between 1 and 100),
  status text not null default 'stopped' check (status in ('stopped', 'running', 'failed')),
  changed_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp()
);

create index bots_by_user on bots (user_id, id);
create index bots_by_status on bots (status, id);

create table bot_events (
  id bigint generated always as identity primary key,
  bot_id bigint not null references bots (id) on delete cascade,
  user_id bigint not null references users (id) on delete cascade,
  kind text not null check (kind in ('started', 'stopped', 'recovered')),
  from_status text not null,
  to_status text not null,
  fence bigint not null,
  at timestamptz not null,
  -- One event for one operation. Also what the events of a bot are read by, in their order.
  unique (bot_id, fence)
);

create index bot_events_by_user on bot_events (user_id, id);

create trigger bot_events_append_only before update or delete on bot_events
  for each row execute function append_only();
create trigger bot_events_no_truncate before truncate on bot_events
  for each statement execute function append_only();
`,
  down: `
drop table bot_events;
drop table bots;
drop table users;
`,
}
