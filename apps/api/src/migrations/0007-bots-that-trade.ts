import type { Migration } from './migration.ts'

export const botsThatTrade: Migration = {
  name: '0007-bots-that-trade',
  up: `
-- Who does what only one may do: a bot, the odds of a sport. Whoever writes for it names its fence in the same
-- transaction, so that one who was paused for longer than his lease writes nothing late.
create table leases (
  name text primary key check (length(name) between 1 and 200),
  -- What it is a lease of.
  kind text not null generated always as (split_part(name, '/', 1)) stored,
  -- The process that has it, or had it last.
  owner text not null check (length(owner) between 1 and 200),
  -- Larger than all that were given before.
  fence bigint not null,
  expires_at timestamptz not null
);

-- What of a kind nobody has, the one that has waited the longest first.
create index leases_by_kind on leases (kind, expires_at);

create sequence lease_fences;

alter table bots
  add column strategy text not null default 'hold()' check (length(strategy) between 1 and 1000),
  add column symbol text not null default 'HFX' check (symbol ~ '^[A-Z][A-Z0-9]{0,9}$'),
  -- Paper money of the bot; it is none of its user's balance.
  add column cash_minor bigint not null default 1000000 check (cash_minor >= 0),
  -- Units that it holds.
  add column position bigint not null default 0 check (position >= 0),
  -- The tick of the market at which it has last traded.
  add column last_tick bigint not null default 0 check (last_tick >= 0),
  -- What the client called the request that created it.
  add column idempotency_key text check (length(idempotency_key) between 1 and 255),
  add column request_digest bytea check (length(request_digest) = 32),
  add unique (user_id, idempotency_key);

alter table bot_events drop constraint bot_events_kind_check;
alter table bot_events add constraint bot_events_kind_check
  check (kind in ('started', 'stopped', 'recovered', 'taken_over', 'failed'));

-- A page of the events of a bot, backwards from the cursor.
create index bot_events_by_bot on bot_events (bot_id, id);

-- A bot that runs has a lease, by which processes find it; whoever starts it, and be it by plain SQL. Each operation gives
-- it another fence and ends it, so that whoever had it writes nothing from the commit on, however late he learns of it.
create function bots_have_leases() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    delete from leases where name = 'bot/' || old.id;
  elsif new.status = 'running' then
    insert into leases (name, owner, fence, expires_at)
      values ('bot/' || new.id, 'nobody', nextval('lease_fences'), clock_timestamp())
      on conflict (name) do update set fence = excluded.fence, expires_at = excluded.expires_at;
  elsif tg_op = 'UPDATE' then
    delete from leases where name = 'bot/' || new.id;
  end if;
  return null;
end
$$;

create trigger bots_have_leases after insert or update of status or delete on bots
  for each row execute function bots_have_leases();
insert into leases (name, owner, fence, expires_at)
  select 'bot/' || id, 'nobody', nextval('lease_fences'), clock_timestamp() from bots where status = 'running';

create table trades (
  id bigint generated always as identity primary key,
  bot_id bigint not null references bots (id) on delete cascade,
  user_id bigint not null references users (id) on delete cascade,
  -- One decision for one tick, whoever makes it.
  tick bigint not null,
  side text not null check (side in ('buy', 'sell')),
  symbol text not null,
  quantity bigint not null check (quantity > 0),
  price_minor bigint not null check (price_minor > 0),
  -- Of the lease under which it was made.
  fence bigint not null,
  at timestamptz not null default clock_timestamp(),
  unique (bot_id, tick)
);

create index trades_by_user on trades (user_id, id);
create index trades_by_bot on trades (bot_id, id);

create trigger trades_append_only before update or delete on trades
  for each row execute function append_only();
create trigger trades_no_truncate before truncate on trades
  for each statement execute function append_only();
`,
  down: `
drop table trades;
drop trigger bots_have_leases on bots;
drop function bots_have_leases();
drop index bot_events_by_bot;
-- What only this version writes goes with it.
alter table bot_events disable trigger bot_events_append_only;
delete from bot_events where kind in ('taken_over', 'failed');
alter table bot_events enable trigger bot_events_append_only;
alter table bot_events drop constraint bot_events_kind_check;
alter table bot_events add constraint bot_events_kind_check check (kind in ('started', 'stopped', 'recovered'));
alter table bots
  drop column strategy, drop column symbol, drop column cash_minor, drop column position, drop column last_tick,
  drop column idempotency_key, drop column request_digest;
drop sequence lease_fences;
drop table leases;
`,
}
