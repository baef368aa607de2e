/** What all theme servers have in common, so that they differ only in what is measured. */
export const themePath = '/:tenant/api/public/load-theme'
export const themeCacheControl = 'public, max-age=300, stale-while-revalidate=60'
