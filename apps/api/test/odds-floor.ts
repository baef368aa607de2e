// Sports whose odds are kept by processes of their own, which a test kills and freezes; who writes, who asks the provider and
// what is offered is watched from outside of them.

import type { PoolGuard } from '@holdfast/pool-guard'
import { TcpProxy, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'
import { insist } from './insist.ts'
import { oddsDatabase } from './odds-database.ts'
import { FIXTURE, OfferWatch } from './odds-offers.ts'
import { installWitness, ownershipFaults, witnessed } from './ownership-witness.ts'
import { OwningProcess } from './owning-process.ts'

export const LEASE_MS = 1500
export const INTERVAL_MS = 200
/**
 * PostgreSQL ends a transaction of which it hears nothing for so long, where a test does not say otherwise: long before
 * the lease is over, as with the settings of the service.
 */
const SILENCE_MS = 500
const PATIENCE = { timeoutMs: 60_000, intervalMs: 20 }

type Queries = Pick<PoolGuard, 'query'>

interface Asked {
  readonly owner: string
  readonly sport: string
  readonly atMs: number
}

/** The sports with nobody who keeps them yet. The test's own way to the database is `serverUrl`. */
export async function oddsFloor(t: Test, serverUrl: string, sports: readonly string[]) {
  const { url, pool } = await oddsDatabase(t, serverUrl)
  const ask: PoolGuard['query'] = (...asked) => insist(() => pool.query(...asked))
  await installWitness(pool)
  await watchSaves(pool)
  const provider = await ProviderSimulator.start({ sports, fixture: FIXTURE })
  t.teardown(() => provider.close())
  const offers = new OfferWatch(t, pool, sports)
  const requests: Asked[] = []
  const roads = new Map<string, TcpProxy>()

  /** The process, with a road to the provider for itself. */
  const start = async (owner: string, through = url, silenceMs = SILENCE_MS) => {
    const road = await TcpProxy.start({ targetPort: Number(new URL(provider.url).port) })
    t.teardown(() => road.close())
    roads.set(owner, road)
    road.onClientData = (chunk) => {
      for (const [, sport = ''] of chunk.toString('latin1').matchAll(/^GET \/v1\/sports\/(\w+)\/feed /gm)) {
        requests.push({ owner, sport, atMs: Date.now() })
      }
    }
    return OwningProcess.start(t, {
      script: 'odds-process.ts',
      owner,
      url: through,
      environment: {
        PROVIDER_URL: `http://127.0.0.1:${road.port}`,
        SPORTS: sports.join(),
        INTERVAL_MS: String(INTERVAL_MS),
        LEASE_MS: String(LEASE_MS),
        SILENCE_MS: String(silenceMs),
      },
    })
  }
  /** Who has them, in the order of their names; undefined where nobody does. */
  const leaders = async () => {
    const { rows } = await ask<{ owner: string; is_held: boolean }>(
      `select owner, expires_at > clock_timestamp() as is_held from leases where kind = 'odds' order by name`,
    )
    return sports.map((_, at) => (rows[at]?.is_held === true ? rows[at].owner : undefined))
  }
  /** Resolves once each sport is kept by one of these. */
  const allKeptBy = (owners: readonly string[]) =>
    waitUntil(async () => (await leaders()).every((owner) => owner !== undefined && owners.includes(owner)), {
      ...PATIENCE,
      what: `all sports to be kept by ${owners.join(' or ')}`,
    })
  /** Resolves once of every sport what was told after this is offered. */
  const goesOn = () => {
    const sinceMs = Date.now()
    return waitUntil(() => sports.every((sport) => offers.toldMs(sport) >= sinceMs), {
      ...PATIENCE,
      what: 'all odds to go on',
    })
  }
  /** How many saves of that process there are. */
  const savesOf = async (owner: string) =>
    Number(
      (await ask('select count(distinct transaction) as count from saves where writer = $1', [owner]))
        .rows[0]?.['count'],
    )
  /** Looks at everything, when nobody writes any more. */
  const inOrder = async (t: Test) => {
    await offers.stop()
    t.strictSame(await ownershipFaults(pool), [], 'each sport had one owner at a time')
    t.strictSame(await saveFaults(pool), [], 'each save was made by the owner, and of something newer')
    t.strictSame(offers.faults, [], 'what was offered was always one word of the provider')
    const { late, faults } = await requestFaults(pool, requests)
    t.strictSame(faults, [], 'the provider was asked by owners')
    const jobs = await pool.query('select key::bigint from test_jobs order by 1')
    const over = await pool.query(
      `select id as key from sport_events where status in ('finished', 'void') order by 1`,
    )
    t.strictSame(jobs.rows, over.rows, 'what is over has its job')
    const { grants, owners } = await witnessed(pool)
    return { grants, owners, requests: requests.length, late, looks: offers.looks }
  }
  return { url, pool, ask, roads, start, leaders, allKeptBy, goesOn, savesOf, inOrder }
}

/** Keeps a row for each event that is written, with who had the sport as it was committed. */
async function watchSaves(sql: Queries): Promise<void> {
  await sql.query(`
    create table saves (
      sport text, ref text, version_before bigint, version bigint, writer text, owner text, transaction text
    );
    create function note_save() returns trigger language plpgsql as $$
    begin
      insert into saves
        select new.sport, new.provider_ref, case when tg_op = 'UPDATE' then old.provider_version end, new.provider_version,
          current_setting('application_name'), owner, pg_current_xact_id()::text
        from (select) as one left join leases on name = 'odds/' || new.sport;
      return null;
    end
    $$;
    create constraint trigger note_save after insert or update on sport_events deferrable initially deferred
      for each row execute function note_save();
  `)
}

async function saveFaults(sql: Queries): Promise<readonly string[]> {
  const { rows } = await sql.query<{ fault: string }>(`
    select distinct format('%s: %s wrote while %s had it', sport, writer, owner) as fault
      from saves where writer is distinct from owner
    union all
    select format('%s: %s wrote version %s after %s', ref, writer, version, version_before)
      from saves where version <= version_before
  `)
  return rows.map(({ fault }) => fault)
}

/**
 * Who asked for a sport that he had never had, or, after he had lost it, more than once: he was on his way when it was
 * taken over. How often the latter was once is answered, too.
 */
async function requestFaults(sql: Queries, requests: readonly Asked[]) {
  const { rows } = await sql.query<{ name: string; owner: string; fence: string; at: Date }>(
    'select name, owner, fence, at from ownership_witness order by id',
  )
  const changes = Map.groupBy(rows, ({ name }) => name)
  const late = new Map<string, number>()
  const faults: string[] = []
  for (const { owner, sport, atMs } of requests) {
    const before = changes.get(`odds/${sport}`)?.filter(({ at }) => at.getTime() <= atMs)
    if (before?.at(-1)?.owner === owner) continue
    const own = before?.findLast((change) => change.owner === owner)
    const lost = `${owner} asks for ${sport}, which it had lost under ${own?.fence}`
    const times = (late.get(lost) ?? 0) + 1
    late.set(lost, times)
    if (own === undefined) faults.push(`${owner} asks for ${sport}, which it never had`)
    else if (times > 1) faults.push(`${lost}, for the ${times}. time`)
  }
  return { late: late.size, faults }
}
