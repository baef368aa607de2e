/** How the first look into the database ended. */
export type FirstLook =
  | {
      readonly ok: true
      /** Themes that were loaded; undefined in a process that serves none. */
      readonly themes: number | undefined
    }
  | { readonly ok: false; readonly error: unknown }
