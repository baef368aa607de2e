import Fastify from 'fastify'
import t from 'tap'
import { type MaintenanceOptions, maintenance } from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

t.test('a wrong option fails at register(), with what was received', async (t) => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ name: '' }, /"name" must be a name.*, received ""/],
    [{ redis: {} }, /"redis" must be an object with run/],
    [{ journal: {} }, /"journal" must be an object with append, latest, history/],
    [{ initial: { rules: [{ mode: 'x' }] } }, /"initial.rules" must be readable: "mode" must be/],
    [{ initial: { rules: 'x' } }, /"initial.rules" must be readable: "rules" must be a list of at most 100/],
    [{ initial: { rules: [{}, { scope: 'all' }] } }, /"id" must be that of no other rule.*received "all"/],
    [{ initial: { banner: { message: '' } } }, /"initial.banner" must be readable: "message"/],
    [{ initial: { rule: [] } }, /"initial.rule" must be left out/],
    [{ force: 'maybe' }, /"force" must be 'on' or 'off', received "maybe"/],
    [{ file: '' }, /"file" must be a text/],
    [{ fileCheckMs: 1 }, /"fileCheckMs" must be milliseconds from 10/],
    [{ rule: { mode: 'x' } }, /"rule" must be readable: .*received an object/],
    [{ groups: { 'a b': [] } }, /"groups" must be a name/],
    [{ groups: { a: ['b'] } }, /"groups.a" must be a path/],
    [{ groups: { a: '/b' } }, /"groups.a" must be a list/],
    [
      { groups: Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`g${at}`, []])) },
      /"groups" must be at most 100/,
    ],
    [{ open: ['x'] }, /"open" must be a path/],
    [{ tenant: async () => 'x' }, /"tenant" must be a function that is not async/],
    [{ roles: 'x' }, /"roles" must be a function/],
    [{ address: 1 }, /"address" must be a function/],
    [{ message: '' }, /"message" must be a text/],
    [{ retryAfterMs: 0 }, /"retryAfterMs" must be milliseconds/],
    [{ bypass: { keys: [] } }, /"bypass.keys" must be a list of 1 to 10/],
    [
      { bypass: { keys: ['short'] } },
      /"bypass.keys" must be texts of at least 32 characters, received an object/,
    ],
    [
      { bypass: { keys: ['k'.repeat(32)], cookie: 'a b' } },
      /"bypass.cookie" must be a name that HTTP allows/,
    ],
    [{ bypass: { keys: ['k'.repeat(32)], header: '' } }, /"bypass.header" must be/],
    [
      { bypass: { keys: ['k'.repeat(32)], defaultMs: 8 * 86_400_000 } },
      /"bypass.defaultMs" must be milliseconds from 1000 to 604800000/,
    ],
    [{ bypass: { keys: ['k'.repeat(32)], secure: 1 } }, /"bypass.secure" must be true or false/],
    [{ bypass: { keys: ['k'.repeat(32)], key: 1 } }, /"bypass.key" must be left out/],
    [{ page: async () => undefined }, /"page" must be a function that is not async/],
    [{ admin: { prefix: 'admin' } }, /"admin.prefix" must be a path/],
    [{ admin: { authorise: 1 } }, /"admin.authorise" must be left out/],
    [{ status: 'status' }, /"status" must be a path/],
    [{ syncMs: 60_001 }, /"syncMs" must be milliseconds from 10 to 60000/],
    [{ startupWaitMs: -1 }, /"startupWaitMs" must be milliseconds/],
    [{ registry: {} }, /"registry" must be an object with/],
    [{ appName: '' }, /"appName" must be a text/],
    [{ clock: {} }, /"clock" must be an object with/],
    [{ random: 1 }, /"random" must be a function/],
    [{ syncms: 1 }, /"syncms" must be left out/],
  ]
  for (const [options, message] of cases) {
    t.throws(() => resolveOptions(options as MaintenanceOptions), {
      code: 'HOLDFAST_ERR_MAINTENANCE_OPTION',
      message,
    })
  }
  const app = Fastify()
  await t.rejects(async () => app.register(maintenance, { retryAfterMs: 0 }), {
    code: 'HOLDFAST_ERR_MAINTENANCE_OPTION',
  })
})

t.test('a key of a bypass is in no message', async (t) => {
  try {
    resolveOptions({ bypass: { keys: ['too-short-secret'] } })
    t.fail('it is refused')
  } catch (error) {
    t.notMatch((error as Error).message, /too-short/)
  }
})

t.test('works with its defaults alone', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(maintenance)
  app.get('/', async () => 'x')
  t.equal((await app.inject('/')).statusCode, 200)
  await app.maintenance.set({})
  t.equal((await app.inject('/')).statusCode, 503)
})
