// Who had which bot, and who wrote for it: kept by the database itself, at the commit of each trade, so that a process
// which writes late cannot tidy up after itself.

import type { PoolGuard } from '@holdfast/pool-guard'

/**
 * Keeps a row for each change of the owner of a bot, and one for each trade with what the lease says at its commit. Both
 * are written while the lease is locked, so that of one bot their places are in the order of commits.
 */
export async function watchOwners(pool: Pick<PoolGuard, 'query'>): Promise<void> {
  await pool.query(`
    create sequence places;
    create table grants (place bigint default nextval('places'), bot_id bigint, owner text, fence bigint);
    create table written (
      place bigint default nextval('places'), bot_id bigint, fence bigint, writer text, owner text, fence_at_commit bigint
    );
    create function note_grant() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' then
        insert into grants (bot_id, owner, fence) values (split_part(old.name, '/', 2)::bigint, null, null);
      elsif tg_op = 'INSERT' or new.fence <> old.fence then
        insert into grants (bot_id, owner, fence) values (split_part(new.name, '/', 2)::bigint, new.owner, new.fence);
      end if;
      return null;
    end
    $$;
    create function note_written() returns trigger language plpgsql as $$
    begin
      insert into written (bot_id, fence, writer, owner, fence_at_commit)
        select new.bot_id, new.fence, current_setting('application_name'), owner, leases.fence
        from (select) as one left join leases on name = 'bot/' || new.bot_id;
      return null;
    end
    $$;
    create constraint trigger note_written after insert on trades deferrable initially deferred
      for each row execute function note_written();
    create trigger note_grant_changed after update or delete on leases
      for each row when (old.kind = 'bot') execute function note_grant();
    create trigger note_grant_made after insert on leases
      for each row when (new.kind = 'bot') execute function note_grant();
  `)
}

/** Owners that bots have changed to, and trades that were written. */
export interface OwnershipCount {
  readonly grants: number
  readonly written: number
}

/**
 * What is wrong: a trade written by another process than the one that has the lease at the commit, under another fence
 * than that of the lease, or after the bot was granted to somebody else; and a fence that was given twice.
 */
export async function ownershipFaults(pool: Pick<PoolGuard, 'query'>): Promise<readonly string[]> {
  const { rows } = await pool.query<{ fault: string }>(`
    select format('bot %s: %s wrote under %s while %s had it under %s', bot_id, writer, fence, owner, fence_at_commit) as fault
      from written where writer is distinct from owner or fence is distinct from fence_at_commit
    union all
    select format('bot %s: %s wrote under %s, and the last grant before is %s to %s', written.bot_id, writer, written.fence,
        last.fence, last.owner)
      from written left join lateral (
        select * from grants where grants.bot_id = written.bot_id and grants.place < written.place
        order by place desc limit 1
      ) as last on true
      where last.owner is distinct from writer or last.fence is distinct from written.fence
    union all
    select format('fence %s was given %s times', fence, count(*)) from grants where fence is not null
      group by fence having count(*) > 1
  `)
  return rows.map(({ fault }) => fault)
}

/** How much `ownershipFaults` looks at. */
export async function ownershipCount(pool: Pick<PoolGuard, 'query'>): Promise<OwnershipCount> {
  const { rows } = await pool.query<{ grants: number; written: number }>(
    `select (select count(*)::int from grants where owner <> 'nobody') as grants, (select count(*)::int from written) as written`,
  )
  return rows[0] ?? { grants: 0, written: 0 }
}
