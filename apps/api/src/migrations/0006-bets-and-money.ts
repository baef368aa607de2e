import type { Migration } from './migration.ts'

export const betsAndMoney: Migration = {
  name: '0006-bets-and-money',
  up: `
alter table tenants
  add column currency text not null default 'EUR' check (currency ~ '^[A-Z]{3}$'),
  -- What each of its users begins with: it is paper money.
  add column opening_balance_minor bigint not null default 100000
    check (opening_balance_minor between 0 and 1000000000000);

-- What a user has: the sum of his entries, kept by the trigger below and by nothing else.
create table balances (
  user_id bigint primary key references users (id) on delete cascade,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  balance_minor bigint not null default 0 constraint balances_not_negative check (balance_minor >= 0),
  changed_at timestamptz not null default clock_timestamp()
);

create table sport_events (
  id bigint generated always as identity primary key,
  sport text not null check (sport ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- What the provider calls it.
  provider_ref text not null check (length(provider_ref) between 1 and 100),
  name text not null check (length(name) between 1 and 200),
  starts_at timestamptz not null,
  status text not null default 'scheduled' check (status in ('scheduled', 'live', 'finished', 'void')),
  -- The selection that won in each market: {"winner": "home"}. A market that is not named in it is void.
  result jsonb,
  -- Of the provider's word; what is older never replaces what is newer.
  provider_version bigint not null default 0,
  changed_at timestamptz not null default clock_timestamp(),
  unique (sport, provider_ref),
  check ((status = 'finished') = (result is not null))
);

-- Lists of what can be bet on, in the order of the starts: of a sport, and of all.
create index sport_events_by_start on sport_events (sport, starts_at, id) where status in ('scheduled', 'live');
create index sport_events_by_start_of_all on sport_events (starts_at, id) where status in ('scheduled', 'live');

create table odds (
  event_id bigint not null references sport_events (id) on delete cascade,
  market text not null check (market ~ '^[a-z][a-z0-9_]{0,39}$'),
  selection text not null check (selection ~ '^[a-z0-9][a-z0-9_]{0,39}$'),
  -- Thousandths: 2150 pays 2.15 times the stake.
  odds_milli integer not null check (odds_milli between 1001 and 1000000),
  provider_version bigint not null,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (event_id, market, selection)
);

-- When a provider may be asked next, by whichever process: how often it is asked holds over restarts.
create table provider_pace (
  provider text primary key check (length(provider) between 1 and 300),
  next_request_at timestamptz not null
);

create table bets (
  id bigint generated always as identity primary key,
  user_id bigint not null references users (id) on delete cascade,
  event_id bigint not null references sport_events (id),
  market text not null,
  selection text not null,
  stake_minor bigint not null check (stake_minor between 1 and 1000000000),
  -- Those that were in force when the bet was placed.
  odds_milli integer not null check (odds_milli between 1001 and 1000000),
  status text not null default 'open' check (status in ('open', 'won', 'lost', 'void')),
  payout_minor bigint check (payout_minor >= 0),
  -- What the client calls this request, and what it asked for: the same again is answered with the same bet.
  idempotency_key text not null check (length(idempotency_key) between 1 and 255),
  request_digest bytea not null check (length(request_digest) = 32),
  placed_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  unique (user_id, idempotency_key),
  check ((status = 'open') = (settled_at is null) and (status = 'open') = (payout_minor is null))
);

-- A page of a user's bets, backwards from the cursor.
create index bets_by_user on bets (user_id, id);
-- The same of those that are open, or won: among thousands that are not.
create index bets_by_user_and_status on bets (user_id, status, id);
-- What a settlement takes next, in the order in which they were placed.
create index open_bets_by_event on bets (event_id, id) where status = 'open';

-- Every movement of money. Written once, never changed.
create table ledger_entries (
  id bigint generated always as identity primary key,
  user_id bigint not null references balances (user_id) on delete cascade,
  kind text not null check (kind in ('opening', 'stake', 'payout', 'refund')),
  amount_minor bigint not null,
  balance_after_minor bigint not null,
  bet_id bigint references bets (id) on delete cascade,
  at timestamptz not null default clock_timestamp(),
  -- A bet is paid for once, and paid out once.
  unique (bet_id, kind),
  check ((kind = 'opening') = (bet_id is null)),
  check (case kind when 'stake' then amount_minor < 0 else amount_minor > 0 end)
);

create unique index ledger_entries_one_opening on ledger_entries (user_id) where kind = 'opening';
create index ledger_entries_by_user on ledger_entries (user_id, id);
-- Nothing is paid twice, whatever it is called.
create unique index ledger_entries_one_end on ledger_entries (bet_id) where kind in ('payout', 'refund');

-- An entry and the balance it leaves are one step. Whoever has too little is refused by balances_not_negative.
create function ledger_entries_move_balance() returns trigger language plpgsql as $$
begin
  update balances set balance_minor = balance_minor + new.amount_minor, changed_at = new.at
    where user_id = new.user_id returning balance_minor into new.balance_after_minor;
  if not found then
    raise exception 'user % has no balance', new.user_id using errcode = 'foreign_key_violation';
  end if;
  -- Numbered while the balance is held: the entries of a user are in the order in which they moved it.
  new.id := nextval('ledger_entries_id_seq');
  return new;
end
$$;

create trigger ledger_entries_move_balance before insert on ledger_entries
  for each row execute function ledger_entries_move_balance();
create trigger ledger_entries_append_only before update or delete on ledger_entries
  for each row execute function append_only();
create trigger ledger_entries_no_truncate before truncate on ledger_entries
  for each statement execute function append_only();

create function balances_follow_ledger() returns trigger language plpgsql as $$
begin
  -- An entry, or the end of a user, is a trigger further out.
  if pg_trigger_depth() > 1 then
    return case tg_op when 'DELETE' then old else new end;
  end if;
  raise exception 'a balance is changed by an entry of the ledger alone' using errcode = 'restrict_violation';
end
$$;

create trigger balances_follow_ledger before insert or update or delete on balances
  for each row execute function balances_follow_ledger();
create trigger balances_no_truncate before truncate on balances
  for each statement execute function append_only();

-- Everybody has a balance from the start.
create function users_open_balance() returns trigger language plpgsql as $$
declare
  opening bigint;
begin
  insert into balances (user_id, currency) select new.id, currency from tenants where id = new.tenant_id;
  select opening_balance_minor into opening from tenants where id = new.tenant_id;
  if opening > 0 then
    -- The trigger fills in what it leaves.
    insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor)
      values (new.id, 'opening', opening, opening);
  end if;
  return null;
end
$$;

-- Nobody is added between those that are there and the trigger.
lock table users in share row exclusive mode;
create trigger users_open_balance after insert on users for each row execute function users_open_balance();
alter table balances disable trigger balances_follow_ledger;
insert into balances (user_id, currency)
  select users.id, tenants.currency from users join tenants on tenants.id = users.tenant_id;
alter table balances enable trigger balances_follow_ledger;
insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor)
  select users.id, 'opening', tenants.opening_balance_minor, tenants.opening_balance_minor
  from users join tenants on tenants.id = users.tenant_id where tenants.opening_balance_minor > 0;
`,
  down: `
drop trigger users_open_balance on users;
drop function users_open_balance();
drop table ledger_entries;
drop function ledger_entries_move_balance();
drop table bets;
drop table provider_pace;
drop table odds;
drop table sport_events;
drop table balances;
drop function balances_follow_ledger();
alter table tenants drop column opening_balance_minor, drop column currency;
`,
}
