import { coverageComments } from './coverage-comments.ts'
import { environment } from './environment.ts'
import { errorCodes } from './error-codes.ts'
import { examples } from './examples.ts'
import { fastifyImport } from './fastify-import.ts'
import { fileNames } from './file-names.ts'
import { floors } from './floors.ts'
import { importPaths } from './import-paths.ts'
import { memberFiles } from './member-files.ts'
import { metricNames } from './metric-names.ts'
import { optionTables } from './option-tables.ts'
import { realWorld } from './real-world.ts'
import type { Rule } from './rule.ts'

/** Structure first, then the documents. */
export const rules: readonly Rule[] = [
  memberFiles,
  fileNames,
  floors,
  importPaths,
  fastifyImport,
  realWorld,
  environment,
  coverageComments,
]

/** What keeps the READMEs true. */
export const documentRules: readonly Rule[] = [examples, optionTables, errorCodes, metricNames]
