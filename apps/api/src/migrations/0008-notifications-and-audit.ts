import type { Migration } from './migration.ts'

export const notificationsAndAudit: Migration = {
  name: '0008-notifications-and-audit',
  up: `
-- What somebody is to be told. Written in the transaction of what it tells; a job delivers it.
create table notifications (
  id bigint generated always as identity primary key,
  tenant_id bigint references tenants (id) on delete cascade,
  -- Null: it is for the operators.
  user_id bigint references users (id) on delete cascade,
  kind text not null check (kind ~ '^[a-z][a-z0-9_.]{0,63}$'),
  channel text not null check (channel in ('webhook', 'telegram')),
  -- Whom the bot writes to; a webhook is one.
  recipient text check (length(recipient) between 1 and 100),
  payload jsonb not null check (octet_length(payload::text) <= 16384),
  status text not null default 'pending' check (status in ('pending', 'sent', 'dead')),
  attempts integer not null default 0 check (attempts >= 0),
  -- Until then somebody is at it.
  claimed_until timestamptz,
  -- What several processes say at once is told once; the way and whom it is told are part of it.
  told_once text unique check (length(told_once) between 1 and 500),
  last_error text check (length(last_error) <= 1000),
  correlation_id text check (length(correlation_id) <= 128),
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  check ((status = 'pending') = (ended_at is null))
);

-- How many wait, and since when.
create index pending_notifications on notifications (created_at) where status = 'pending';
-- Those that go with their user, or their tenant.
create index notifications_by_user on notifications (user_id) where user_id is not null;
create index notifications_by_tenant on notifications (tenant_id) where tenant_id is not null;

-- Who did what, and what it changed. Written once, never changed.
create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  -- The id of a user, or the word for who has the token of operators.
  actor text not null check (length(actor) between 1 and 200),
  tenant text check (length(tenant) <= 63),
  action text not null check (action ~ '^[a-z][a-z0-9_.-]{0,99}$'),
  -- What it was done to, such as the id of a dead letter.
  subject text check (length(subject) <= 1000),
  before jsonb check (octet_length(before::text) <= 16384),
  after jsonb check (octet_length(after::text) <= 16384),
  reason text check (length(reason) <= 1000),
  correlation_id text check (length(correlation_id) <= 128)
);

-- Pages of one action, one actor or one tenant, backwards from the cursor; those of all need no index of their own.
create index audit_log_by_action on audit_log (action, id);
create index audit_log_by_actor on audit_log (actor, id);
create index audit_log_by_tenant on audit_log (tenant, id) where tenant is not null;
-- How much was written lately.
create index audit_log_by_time on audit_log (at);

create trigger audit_log_append_only before update or delete on audit_log
  for each row execute function append_only();
create trigger audit_log_no_truncate before truncate on audit_log
  for each statement execute function append_only();
`,
  down: `
drop table audit_log;
drop table notifications;
`,
}
