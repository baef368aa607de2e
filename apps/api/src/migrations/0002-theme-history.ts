import type { Migration } from './migration.ts'

export const themeHistory: Migration = {
  name: '0002-theme-history',
  up: `
create table theme_versions (
  tenant_id bigint not null references tenants (id) on delete cascade,
  version bigint not null,
  theme jsonb not null,
  saved_at timestamptz not null,
  -- Also what a page of the history is read by, backwards from the cursor: it needs no index of its own.
  primary key (tenant_id, version)
);

create table theme_preview_events (
  id bigint generated always as identity primary key,
  tenant_id bigint not null references tenants (id) on delete cascade,
  -- Chosen by the client, so that what it sends again is stored once.
  event_id uuid not null,
  theme_version bigint not null,
  viewport text not null check (viewport in ('desktop', 'tablet', 'mobile')),
  received_at timestamptz not null default clock_timestamp(),
  unique (tenant_id, event_id)
);

create function append_only() returns trigger language plpgsql as $$
begin
  -- A row goes only with its tenant: a cascade is a trigger of its own, one level further out.
  if tg_op = 'DELETE' and pg_trigger_depth() > 1 then
    return old;
  end if;
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end
$$;

create trigger theme_versions_append_only before update or delete on theme_versions
  for each row execute function append_only();
create trigger theme_versions_no_truncate before truncate on theme_versions
  for each statement execute function append_only();
create trigger theme_preview_events_append_only before update or delete on theme_preview_events
  for each row execute function append_only();
create trigger theme_preview_events_no_truncate before truncate on theme_preview_events
  for each statement execute function append_only();

-- After the row was written, so with the version that it got and only when it was written at all.
create function themes_keep_version() returns trigger language plpgsql as $$
begin
  insert into theme_versions (tenant_id, version, theme, saved_at)
    select id, new.version, new.theme, new.updated_at from tenants where slug = new.slug;
  return null;
end
$$;

create trigger themes_keep_version after insert or update on themes
  for each row execute function themes_keep_version();

-- The history begins with what is there. No theme changes between this and the trigger.
lock table themes in share row exclusive mode;
insert into theme_versions (tenant_id, version, theme, saved_at)
  select tenants.id, themes.version, themes.theme, themes.updated_at
  from themes join tenants on tenants.slug = themes.slug;
`,
  down: `
drop trigger themes_keep_version on themes;
drop function themes_keep_version();
drop table theme_preview_events;
drop table theme_versions;
drop function append_only();
`,
}
