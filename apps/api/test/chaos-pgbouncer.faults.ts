import { twentyMinutes } from './chaos/twenty-minutes.ts'

twentyMinutes('through PgBouncer')
