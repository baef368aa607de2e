// /docs: a page that runs under a strict policy, files that are kept, and nothing of it where it is switched off.

import { brotliDecompressSync } from 'node:zlib'
import t from 'tap'
import { parse } from 'yaml'
import { loadConfig } from '../src/config.ts'
import { docsEnabled } from '../src/openapi/docs-enabled.ts'
import { EXPLORER_POLICY } from '../src/openapi/explorer-page.ts'
import { STRICT_POLICY } from '../src/security-headers.ts'
import { loneApp } from './lone-app.ts'

t.setTimeout(120_000)

const fastify = await loneApp(t, { RATE_LIMITS_IP: '1000/minute' })
const url = await fastify.listen({ host: '127.0.0.1', port: 0 })

t.test('the page has nothing inline, and asks for files that are there', async (t) => {
  const page = await fetch(`${url}/docs`)
  const body = await page.text()
  t.equal(page.status, 200)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  t.equal(page.headers.get('content-security-policy'), EXPLORER_POLICY)
  t.equal(page.headers.get('x-frame-options'), 'DENY')
  t.notMatch(EXPLORER_POLICY, /unsafe|\*|https?:|blob:/)
  t.notMatch(body, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:/i)
  const named = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) => address)
  t.ok(named.length >= 7)
  for (const address of named) {
    t.match(address, /^docs\//, 'nothing of elsewhere')
    const file = await fetch(new URL(address, `${url}/docs`))
    t.equal(file.status, 200, address)
    t.equal(file.headers.get('content-security-policy'), STRICT_POLICY, `${address} has that of the service`)
    t.match(file.headers.get('cache-control'), /^public, max-age=(60|3600)\b/, address)
    await file.arrayBuffer()
  }
})

t.test('files are compressed once, and kept by those who have them', async (t) => {
  const path = '/docs/swagger-ui-bundle.js'
  const plain = await fastify.inject(path)
  const small = await fastify.inject({ url: path, headers: { 'accept-encoding': 'br' } })
  t.equal(small.headers['content-encoding'], 'br')
  t.ok(small.rawPayload.length < plain.rawPayload.length / 3, `${small.rawPayload.length} bytes`)
  t.ok(brotliDecompressSync(small.rawPayload).equals(plain.rawPayload))
  const again = await fastify.inject({ url: path, headers: { 'if-none-match': String(plain.headers.etag) } })
  t.equal(again.statusCode, 304)
  t.equal(again.body, '')
})

t.test('the document is there as JSON and as YAML', async (t) => {
  const json = await fastify.inject('/docs/json')
  const yaml = await fastify.inject('/docs/yaml')
  t.equal(json.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(yaml.headers['content-type'], 'application/yaml; charset=utf-8')
  t.equal(json.json().openapi, '3.1.0')
  t.strictSame(parse(yaml.body), json.json())
  t.notOk('/metrics' in json.json().paths, 'what is switched off is not in it')
})

t.test('no name of a file leads elsewhere', async (t) => {
  for (const name of [
    '/docs/',
    '/docs/index.html',
    '/docs/..%2fpackage.json',
    '/docs/%2e%2e/package.json',
    '/docs/static/../../package.json',
    '/docs/csp.json',
    '/docs/oauth2-redirect.html',
  ]) {
    t.equal((await fastify.inject(name)).statusCode, 404, name)
  }
  t.equal((await fastify.inject({ method: 'POST', url: '/docs' })).statusCode, 405)
})

t.test('an address asks for as much of it as of everything else', async (t) => {
  const limited = await loneApp(t, { RATE_LIMITS_IP: '2/hour' })
  const statuses: number[] = []
  for (let at = 0; at < 3; at++) statuses.push((await limited.inject('/docs/json')).statusCode)
  t.strictSame(statuses, [200, 200, 429])
})

t.test('it is off in production, and wherever somebody says so', async (t) => {
  const enabled = (environment: Readonly<Record<string, string>>) =>
    docsEnabled(loadConfig(environment).config)
  const production = {
    ENVIRONMENT: 'production',
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
    SECRET_KEY: 'a-secret-of-more-than-32-characters-for-tests',
    SESSION_SECURE: 'true',
  }
  t.equal(enabled({}), true)
  t.equal(enabled({ ENABLE_DOCS: 'false' }), false)
  t.equal(enabled(production), false)
  t.equal(enabled({ ...production, ENABLE_DOCS: 'true' }), true)
  const without = await loneApp(t, { ENABLE_DOCS: 'false' })
  await without.ready()
  for (const path of ['/docs', '/docs/json', '/docs/yaml', '/docs/explorer.js']) {
    t.equal((await without.inject(path)).statusCode, 404, path)
  }
  t.notOk(without.hasDecorator('swagger'))
  t.notOk([...without.accessRules.keys()].some((route) => route.includes('/docs')))
})
