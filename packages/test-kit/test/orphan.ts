// Starts one server, says where it is, and then does as it is told. The test ends this process.
import { descendants } from '../src/process-tree.ts'
import { subjects } from './subjects.ts'

const [kind = '', wish] = process.argv.slice(2)
const start = Object.entries(subjects).find(([name]) => name === kind)?.[1]
if (start === undefined) throw new Error(`no such server: ${kind}`)
const { server } = await start()
const pids = [server.pid, ...descendants(server.pid)]
if (wish === 'freeze') server.freeze()
console.log(JSON.stringify({ pids, directory: server.directory }))
if (wish !== 'exit') setInterval(() => {}, 1000)
