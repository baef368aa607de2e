// pnpm --filter @holdfast/api openapi: writes openapi.yaml. Needs no database: the document is made of the routes.

import { writeFile } from 'node:fs/promises'
import { documentText } from '../openapi/document-text.ts'

const FILE = new URL('../../openapi.yaml', import.meta.url)

await writeFile(FILE, await documentText())
console.log(`written: ${FILE.pathname}`)
