import type { ServerRow } from '../harness/row.ts'

const path = '/acme/api/public/load-theme'

/** A tenant's theme (1.9 kB of JSON) from precomputed representations, against a tag computed per answer. */
export const theme: ServerRow = {
  kind: 'server',
  name: 'theme',
  title: 'GET of a 1.9 kB theme, 200 and 304, 50 connections; CPU per request',
  connections: 50,
  servers: {
    ours: { script: 'src/servers/theme-ours.ts', readyPath: path },
    etag: { script: 'src/servers/theme-etag.ts', args: ['object'], readyPath: path },
    etagText: { script: 'src/servers/theme-etag.ts', args: ['text'], readyPath: path },
    bare: { script: 'src/servers/theme-bare.ts', args: ['object'], readyPath: path },
    bareAgain: { script: 'src/servers/theme-bare.ts', args: ['object'], readyPath: path },
    bareText: { script: 'src/servers/theme-bare.ts', args: ['text'], readyPath: path },
  },
  variants: [
    { name: 'ours 200', server: 'ours', path, against: '@fastify/etag 200' },
    { name: '@fastify/etag 200', server: 'etag', path, against: 'bare 200' },
    { name: 'bare 200', server: 'bare', path },
    { name: 'bare 200 (A/A control)', server: 'bareAgain', path, against: 'bare 200' },
    {
      name: 'ours 304',
      server: 'ours',
      path,
      revalidates: true,
      expectStatus: 304,
      against: '@fastify/etag 304',
    },
    {
      name: '@fastify/etag 304',
      server: 'etag',
      path,
      revalidates: true,
      expectStatus: 304,
      against: 'bare 200',
    },
    {
      name: 'ours 200 gzip',
      server: 'ours',
      path,
      headers: { 'accept-encoding': 'gzip' },
      against: 'bare 200',
    },
    { name: 'ours 200 br', server: 'ours', path, headers: { 'accept-encoding': 'br' }, against: 'bare 200' },
    { name: '@fastify/etag 200, ready text', server: 'etagText', path, against: 'bare 200' },
    { name: 'bare 200, ready text', server: 'bareText', path, against: 'bare 200' },
  ],
  goals: [
    {
      claim: 'A theme 200 costs less CPU than the same body through `@fastify/etag`',
      figure: 'cpuMicroseconds',
      of: 'ours 200',
      against: '@fastify/etag 200',
      atMost: 0.7,
    },
    {
      claim: 'A theme 304 costs less CPU than the same body through `@fastify/etag`',
      figure: 'cpuMicroseconds',
      of: 'ours 304',
      against: '@fastify/etag 304',
      atMost: 0.65,
    },
  ],
}
