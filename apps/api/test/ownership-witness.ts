// Who owned what, and when: triggers write down every change of a lease, in the transaction that makes it and by the clock
// of the database, and for each trade what the lease says at its commit. What was written by owners is held against that,
// so that a process which writes late cannot tidy up after itself.
//
// The row of a lease is locked while either trigger runs, so that the rows of the witness are in the order of the changes.

import type { PoolGuard } from '@holdfast/pool-guard'

type Queries = Pick<PoolGuard, 'query'>

/** Begins to write; before anybody takes a lease. */
export async function installWitness(sql: Queries): Promise<void> {
  await sql.query(`
    create table ownership_witness (
      id bigint generated always as identity primary key,
      name text not null,
      owner text not null,
      fence bigint not null,
      -- Until when it is owned as far as is known at that moment; null: the lease is gone.
      expires_at timestamptz,
      at timestamptz not null default clock_timestamp()
    );
    create index on ownership_witness (name, id);
    create function witness_ownership() returns trigger language plpgsql security definer as $$
    begin
      if tg_op = 'DELETE' then
        insert into ownership_witness (name, owner, fence) values (old.name, old.owner, old.fence);
      else
        insert into ownership_witness (name, owner, fence, expires_at)
          values (new.name, new.owner, new.fence, new.expires_at);
      end if;
      return null;
    end
    $$;
    create trigger witness_ownership after insert or update or delete on leases
      for each row execute function witness_ownership();
    insert into ownership_witness (name, owner, fence, expires_at) select name, owner, fence, expires_at from leases;

    create table trade_witness (
      trade_id bigint not null,
      -- What its connection is called; that of an owner where a test calls it so.
      writer text not null,
      -- At the commit; null: there is no lease.
      owner text,
      fence bigint
    );
    create function witness_trade() returns trigger language plpgsql security definer as $$
    begin
      insert into trade_witness (trade_id, writer, owner, fence)
        select new.id, current_setting('application_name'), owner, leases.fence
        from (select) as one left join leases on name = 'bot/' || new.bot_id;
      return null;
    end
    $$;
    create constraint trigger witness_trade after insert on trades deferrable initially deferred
      for each row execute function witness_trade();
  `)
}

/** How much was seen: findings of nothing prove nothing. */
export interface Witnessed {
  readonly grants: number
  readonly owners: number
  readonly changesOfOwner: number
  /** Trades that were looked at when they were committed. */
  readonly trades: number
  /** Those of connections that are called as an owner. */
  readonly tradesOfOwners: number
}

/**
 * Each change with the one before: `is_grant` where somebody else, or the same one anew, owns it from then on. An operation
 * of a user gives a bot another fence that nobody has, whose time is over when it is written.
 */
const CHANGES = `changes as (
  select id, name, owner, fence, expires_at, at,
    fence is distinct from lag(fence) over of_name and expires_at > at as is_grant,
    lag(id) over of_name as id_before, lag(owner) over of_name as owner_before,
    lag(fence) over of_name as fence_before, lag(expires_at) over of_name as expires_before,
    max(fence) over (of_name rows between unbounded preceding and 1 preceding) as largest_before
  from ownership_witness window of_name as (partition by name order by id)
)`

/** A grant, and when somebody else could own it: at the next change of the fence, whoever makes it. */
const GRANTS = `${CHANGES}, grants as (
  select name, owner, fence, at as from_at, (
    select min(later.at) from changes as later
    where later.name = changes.name and later.id > changes.id
      and (later.fence <> changes.fence or later.expires_at is null)
  ) as until
  from changes where is_grant
)`

export async function witnessed(sql: Queries): Promise<Witnessed> {
  const { rows } = await sql.query<Record<'grants' | 'owners' | 'changes' | 'trades' | 'of_owners', number>>(
    `with ${CHANGES}
     select count(*) filter (where is_grant)::int as grants,
       count(distinct owner) filter (where is_grant)::int as owners,
       count(*) filter (where is_grant and owner <> owner_before and owner_before <> 'nobody')::int as changes,
       (select count(*)::int from trade_witness) as trades,
       (select count(*)::int from trade_witness where writer in (select owner from changes)) as of_owners
     from changes`,
  )
  const { grants = 0, owners = 0, changes = 0, trades = 0, of_owners: tradesOfOwners = 0 } = rows[0] ?? {}
  return { grants, owners, changesOfOwner: changes, trades, tradesOfOwners }
}

/** What was owned by two at once, or written by somebody who did not own it; nothing when all is well. */
export async function ownershipFaults(sql: Queries): Promise<string[]> {
  const { rows } = await sql.query<{ fault: string }>(
    `with ${GRANTS}
     select format('%s: %s owns it under the fence %s since %s, and %s under %s until %s',
       name, owner, fence, at, owner_before, fence_before, expires_before) as fault
     from changes where is_grant and expires_before > at
     union all
     select format('%s: the fence %s of %s comes after %s', name, fence, owner, largest_before)
     from changes where fence < largest_before
     union all
     select format('%s: %s went on under the fence %s, which was that of %s', name, owner, fence, owner_before)
     from changes where expires_at is not null and fence = fence_before and owner <> owner_before
     union all
     select format('the fence %s was given %s times', fence, count(*)) from grants group by fence having count(*) > 1
     union all
     select format('trade %s under the fence %s at whose commit %s owned it under %s',
       trades.id, trades.fence, coalesce(trade_witness.owner, 'nobody'), trade_witness.fence)
     from trades left join trade_witness on trade_id = trades.id
     where trade_witness.fence is distinct from trades.fence
     union all
     select format('trade %s by %s at whose commit %s owned it', trade_id, writer, owner)
     from trade_witness where writer <> owner and writer in (select owner from grants)
     union all
     select format('%s: trade %s under the fence %s, which was given to nobody', name, trades.id, trades.fence)
     from trades cross join lateral (select 'bot/' || trades.bot_id as name) as lease
     where not exists (select from grants where grants.name = lease.name and grants.fence = trades.fence)
     union all
     select format('%s: trade %s under the fence %s at %s, and %s owned it from %s until %s',
       grants.name, trades.id, trades.fence, trades.at, grants.owner, from_at, coalesce(until::text, 'the end'))
     from trades join grants on grants.name = 'bot/' || trades.bot_id and grants.fence = trades.fence
     where trades.at < from_at or trades.at >= until
     union all
     select format('bot/%s: trade %s under the fence %s comes after one under %s', bot_id, id, fence, before)
     from (
       select id, bot_id, fence, max(fence) over (
         partition by bot_id order by id rows between unbounded preceding and 1 preceding
       ) as before from trades
     ) as written where fence < before
     union all
     select format('bot/%s: taken over under the fence %s, which was given to nobody', bot_id, fence)
     from bot_events as event where kind = 'taken_over' and not exists (
       select from grants where grants.name = 'bot/' || event.bot_id and grants.fence = event.fence
         and event.at >= from_at and (until is null or event.at < until)
     )
     limit 50`,
  )
  return rows.map(({ fault }) => fault)
}
