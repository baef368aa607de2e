import t from 'tap'
import { prefersHtml } from '../src/accept.ts'

t.test('a browser gets a page', async (t) => {
  for (const accept of [
    'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'text/html',
    'TEXT/HTML',
    'text/html;q=0.5, */*;q=0.1',
    'application/xhtml+xml',
    'application/json;q=0.4, text/html;q=0.5',
    'text/html, application/json;q=0.9',
    'text/*;q=0.2, text/html;q=1, application/json;q=0.9',
  ]) {
    t.equal(prefersHtml(accept), true, accept)
  }
})

t.test('everybody else gets a document', async (t) => {
  for (const accept of [
    undefined,
    '',
    '*/*',
    'application/json',
    'application/problem+json',
    'text/plain',
    'text/html, application/json',
    'application/json, text/html;q=0.9',
    'text/html;q=0',
    'text/html;q=nonsense',
    'text/html;q=-1',
    'text/html;q=7',
    'text/html;q=0.3, */*;q=0.5, application/json',
    `text/html,${'a'.repeat(1000)}`,
  ]) {
    t.equal(prefersHtml(accept), false, String(accept))
  }
})
