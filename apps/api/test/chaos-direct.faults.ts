import { twentyMinutes } from './chaos/twenty-minutes.ts'

twentyMinutes('direct')
