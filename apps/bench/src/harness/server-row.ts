/**
 * Measures requests to server processes. All servers of a row are alive at once on the server core, and the
 * load generator drives one variant at a time: an idle server costs nothing, and neighbouring slices see the
 * same machine. CPU per request comes from the server itself (`process.cpuUsage()` over the slice), so it
 * holds even when something else takes the core away for a while.
 */
import { Child } from './child.ts'
import type { LoadResult, LoadTarget } from './http-load.ts'
import type { ServerRow, ServerVariant } from './row.ts'
import { RowServers } from './row-servers.ts'
import type { RunOptions } from './run.ts'
import { orderOfTurn, type Slice } from './statistics.ts'
import { driveWithWrk } from './wrk-load.ts'

const MEBIBYTE = 1024 * 1024
/** Longest wait for the entity tag that a variant sends. */
const TAG_MS = 5_000

/** Runs every variant of the row; throws when a process fails or one answer was not the expected one. */
export async function runServerRow(row: ServerRow, options: RunOptions): Promise<readonly Slice[]> {
  const slices: Slice[] = []
  const load = new Child(options.pinning, { script: 'src/harness/load-generator.ts', core: 'load' })
  try {
    for (let round = 0; round < options.rounds; round += 1) {
      options.progress(`${row.name}: round ${round + 1} of ${options.rounds}`)
      slices.push(...(await runRound(row, options, load, round)))
    }
  } finally {
    await load.stop()
  }
  return slices
}

async function runRound(
  row: ServerRow,
  options: RunOptions,
  load: Child,
  round: number,
): Promise<readonly Slice[]> {
  const world = await row.prepare?.()
  const servers = new RowServers(row.name)
  try {
    await servers.start(row.servers, world, options)

    const measure = async (variant: ServerVariant, durationMs: number): Promise<Slice['figures']> => {
      const server = servers.of(variant)
      if (variant.state !== undefined) await world?.enter(variant.state)
      // Connections are opened before the slice, so that accepting them is not counted as answering.
      if (!options.wrk) await load.ask('open', { port: server.port, connections: row.connections })
      const drive = (target: LoadTarget) =>
        options.wrk ? driveWithWrk(target, row.connections) : load.ask<LoadResult>('drive', target)
      const { child, port } = server
      const ownFigures = () =>
        variant.hasFigures === true ? child.ask<Slice['figures']>('figures') : Promise.resolve({})
      const counts = async () => (await world?.counts?.(variant.server)) ?? {}
      return drivenSlice(child, drive, ownFigures, counts, {
        port,
        posting: variant.posts === undefined ? undefined : await world?.posting?.(variant.posts, port),
        path: variant.path,
        headers: await headersOf(variant, port),
        expectStatus: variant.expectStatus ?? 200,
        durationMs,
      })
    }

    const warmed = new Set<string>()
    for (const variant of row.variants) {
      // Variants that differ only in the state of the world send the same requests.
      const shape = `${variant.server} ${variant.path} ${JSON.stringify(variant.headers)} ${variant.revalidates} ${variant.posts}`
      if (warmed.has(shape)) continue
      warmed.add(shape)
      await measure(variant, options.warmUpMs)
    }

    const slices: Slice[] = []
    for (let turn = 0; turn < options.turns; turn += 1) {
      for (const variant of orderOfTurn(row.variants, turn)) {
        const figures = await measure(variant, options.sliceMs)
        slices.push({ variant: variant.name, round, position: slices.length, figures })
      }
    }
    return slices
  } finally {
    await servers.stop()
    await world?.close()
    // Last, because it fails when the load generator is what has failed.
    await load.ask('close')
  }
}

async function drivenSlice(
  server: Child,
  drive: (target: LoadTarget) => Promise<LoadResult>,
  ownFigures: () => Promise<Slice['figures']>,
  counts: () => Promise<Slice['figures']>,
  target: LoadTarget,
): Promise<Slice['figures']> {
  // What it has from before is forgotten.
  await ownFigures()
  const countsBefore = await counts()
  const before = await server.usage()
  const result = await drive(target)
  const after = await server.usage()
  if (result.failures > 0) {
    throw new Error(`${result.failures} of the answers were wrong; the first: ${result.firstFailure}`)
  }
  if (result.answers === 0) throw new Error(`${target.path} gave no answer within the slice`)
  const cpuMicroseconds = after.cpuMicroseconds - before.cpuMicroseconds
  const counted = Object.entries(await counts()).map(([name, count]): [string, number] => [
    name,
    (count - (countsBefore[name] ?? 0)) / result.answers,
  ])
  return {
    ...(await ownFigures()),
    ...Object.fromEntries(counted),
    cpuMicroseconds: cpuMicroseconds / result.answers,
    userMicroseconds: (after.userMicroseconds - before.userMicroseconds) / result.answers,
    requestsPerSecond: (result.answers / result.elapsedMs) * 1_000,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    maxMs: result.maxMs,
    busy: cpuMicroseconds / 1_000 / result.elapsedMs,
    residentMiB: after.residentBytes / MEBIBYTE,
  }
}

/** The variant's headers; one that revalidates first asks for the entity tag it will send. */
async function headersOf(variant: ServerVariant, port: number): Promise<Readonly<Record<string, string>>> {
  const headers = { ...variant.headers }
  if (variant.revalidates !== true) return headers
  // Without this, fetch would accept compressed answers, and learn the entity tag of another variant.
  const answer = await fetch(`http://127.0.0.1:${port}${variant.path}`, {
    headers: { 'accept-encoding': 'identity', ...headers },
    signal: AbortSignal.timeout(TAG_MS),
  })
  await answer.arrayBuffer()
  const etag = answer.headers.get('etag')
  if (etag === null) throw new Error(`${variant.name}: ${variant.path} sent no ETag to revalidate with`)
  return { ...headers, 'if-none-match': etag }
}
