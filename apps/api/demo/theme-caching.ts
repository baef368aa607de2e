// What a CDN needs to know of a theme, as it is answered.

export interface ThemeCaching {
  readonly cacheControl: string
  readonly etag: string
  readonly vary: string
  readonly revalidated: number
}

export async function themeCaching(url: string, tenant: string): Promise<ThemeCaching> {
  const path = `${url}/${tenant}/api/public/load-theme`
  const first = await fetch(path)
  await first.arrayBuffer()
  const etag = first.headers.get('etag') ?? ''
  const second = await fetch(path, { headers: { 'if-none-match': etag } })
  await second.arrayBuffer()
  return {
    cacheControl: first.headers.get('cache-control') ?? '',
    etag,
    vary: first.headers.get('vary') ?? '',
    revalidated: second.status,
  }
}
