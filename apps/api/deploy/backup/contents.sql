-- What a database holds, a line for each thing: the rows of each table and a checksum that their order does not change,
-- the names of what keeps them right, and where each sequence must be at least. backup.sh writes it beside the dump,
-- from the very snapshot of the dump; restore.sh compares it with what it has restored.

-- Rows as text must not depend on whoever looks.
set local timezone = 'UTC';
set local datestyle = 'ISO, MDY';
set local intervalstyle = 'postgres';
set local bytea_output = 'hex';
set local extra_float_digits = 1;
set local search_path = public, pg_catalog;

-- A statement for each table, which \gexec runs. The sum of 64 bits of each row's MD5 finds what got lost, was doubled or
-- was changed by accident; it is no seal against a forger.
select format(
  $$select 'table', '%1$s', count(*), coalesce(sum(('x' || left(md5(r::text), 16))::bit(64)::bigint::numeric), 0) from %1$s as r$$,
  c.oid::regclass)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by n.nspname, c.relname collate "C"
\gexec

-- By name alone: how they are written out differs between versions of PostgreSQL. NOT NULL is none before version 18.
select 'constraint', conrelid::regclass, conname, contype, convalidated
from pg_constraint c join pg_namespace n on n.oid = c.connamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and contype <> 'n'
order by conrelid::regclass::text collate "C", conname collate "C";

select 'index', i.indexrelid::regclass, indisvalid
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by i.indexrelid::regclass::text collate "C";

select 'trigger', tgrelid::regclass, tgname, tgenabled from pg_trigger
where not tgisinternal order by tgrelid::regclass::text collate "C", tgname collate "C";

select 'function', p.oid::regprocedure
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
  select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
order by p.oid::regprocedure::text collate "C";

select 'sequence', c.oid::regclass
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'S' and n.nspname !~ '^pg_' order by c.oid::regclass::text collate "C";
