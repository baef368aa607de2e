import t from 'tap'
import { isOfContent } from '../src/index.ts'

t.test('what describes one answer is told from what protects it, or is about the request', async (t) => {
  for (const name of [
    'content-type',
    'content-encoding',
    'content-disposition',
    'etag',
    'location',
    'transfer-encoding',
  ]) {
    t.equal(isOfContent(name), true, name)
  }
  for (const name of [
    'content-security-policy',
    'content-security-policy-report-only',
    'set-cookie',
    'vary',
    'allow',
  ]) {
    t.equal(isOfContent(name), false, name)
  }
})
