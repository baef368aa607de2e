/** The same database directly and through PgBouncer: from its URL on the server to that of each way. */
export function bothWays(bouncer: { readonly url: string }) {
  return {
    direct: (url: string) => url,
    'through PgBouncer': (url: string) => {
      const pooled = new URL(bouncer.url)
      pooled.pathname = new URL(url).pathname
      return pooled.href
    },
  } as const
}
