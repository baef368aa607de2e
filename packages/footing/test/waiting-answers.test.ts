import { EventEmitter } from 'node:events'
import t from 'tap'
import { endsWithConnection } from '../src/index.ts'

t.test('what waits on a connection ends with it, each by itself, by one listener', async (t) => {
  const socket = new EventEmitter()
  const ended: number[] = []
  const responses = [0, 1, 2].map((at) => {
    const response = Object.assign(new EventEmitter(), { req: { socket } })
    endsWithConnection(response, () => {
      ended.push(at)
      response.emit('close')
    })
    return response
  })
  t.equal(socket.listenerCount('close'), 1)
  responses[1]?.emit('close')
  socket.emit('close')
  t.same(ended, [0, 2])
  socket.emit('close')
  t.same(ended, [0, 2])
})
