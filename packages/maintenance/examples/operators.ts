import { maintenance } from '@holdfast/maintenance'
import Fastify from 'fastify'

const app = Fastify()
await app.register(maintenance, {
  rule: { id: 'maintenance', scope: { group: 'bots' }, mode: 'read-only' },
  groups: { bots: ['/api/bot'] },
  admin: {
    authorize: ({ headers }) => headers.authorization === 'Bearer of-an-operator',
    actor: () => 'alice',
  },
})
const ask = async (url: string, payload: object = {}) => {
  const headers = { authorization: 'Bearer of-an-operator' }
  const answer = await app.inject({ method: 'POST', url, headers, payload })
  return answer.json()
}

const { rule } = await ask('/admin/maintenance/enable', { reason: 'change 4711' })
console.log(rule.id, rule.scope, rule.mode)
const { banner_message } = await ask('/admin/banner', { message: 'Maintenance from 2 to 4 PM UTC' })
console.log(banner_message)
console.log((await app.inject('/api/status')).body)
console.log((await ask('/admin/maintenance/disable')).maintenance_enabled)
await app.close()
