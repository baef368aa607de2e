// A cluster of three workers, for cluster.test.ts: what it is told on its standard input, it does.

import cluster from 'node:cluster'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { systemClock } from '@holdfast/footing'
import { collectCluster, collectorServer, MetricSet, OwnRegistry } from '@holdfast/metrics'

const own = new MetricSet(new OwnRegistry())
const exits = own.counter({ name: 'exits_total', help: 'Workers that have ended' })
const told = collectCluster(cluster, systemClock, { registry: own.registry })
cluster.on('exit', () => exits.inc())
cluster.setupPrimary({ exec: new URL('./cluster-worker.ts', import.meta.url).pathname })
const workers = [cluster.fork(), cluster.fork(), cluster.fork()]
const [{ port: shared }] = (await once(cluster, 'listening').then(([, address]) => [address])) as [
  AddressInfo,
]
await Promise.all(workers.map((worker) => worker.isConnected() || once(worker, 'online')))
const server = collectorServer(told.text, { token: 'a-token' })
server.listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(JSON.stringify({ shared, own: (server.address() as AddressInfo).port }))

for await (const line of createInterface({ input: process.stdin })) {
  const [what, at = 0] = line.split(' ')
  const worker = workers[Number(at)]
  if (what === 'kill') worker?.process.kill('SIGKILL')
  else if (what === 'fork') workers.push(cluster.fork())
  else worker?.send({ what })
}
told.close()
server.close()
for (const worker of workers) worker.process.kill('SIGKILL')
