#!/bin/sh
# Fills a new, empty database with what backup.sh has kept, and compares:
#   PGHOST=db PGUSER=holdfast_owner PGDATABASE=holdfast_restored PGPASSFILE=~/.pgpass sh restore.sh /var/backups/holdfast/holdfast-...
#
# The roles must be there (pgbouncer/roles.sql, run in the new database). All of it happens in one transaction, or
# nothing does. Refuses a folder that is not whole, and a database with anything in it: it never overwrites.
set -eu

[ $# -eq 1 ] || { echo "usage: sh restore.sh <folder of one backup>" >&2; exit 2; }
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
fail() { echo "nothing was restored: $1" >&2; exit 1; }

[ -f "$1/SHA256SUMS" ] || fail "$1 is no complete backup"
(cd "$1" && sha256sum --check --status SHA256SUMS) || fail "$1 is damaged: its files are not what SHA256SUMS says"

ask() { psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"; }
full=$(ask --command "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'") || fail "the database cannot be asked"
[ "$full" = 0 ] || fail "the database has $full tables, indexes or sequences already; make a new one"

pg_restore --exit-on-error --single-transaction --no-owner --dbname="${PGDATABASE:?}" "$1/database.dump" || fail "pg_restore failed"

found=$(mktemp)
trap 'rm -f "$found"' EXIT
ask --set=list="$here/contents.sql" >"$found" <<'SQL' || { echo "it was restored, but could not be compared" >&2; exit 1; }
begin isolation level repeatable read, read only;
set local statement_timeout = 0;
\i :list
commit;
SQL
if ! diff "$1/contents" "$found" >&2; then
  echo "it was restored, but is not what was kept (< kept, > restored): do not use it" >&2
  exit 1
fi
# Plans are bad until PostgreSQL knows what is in the tables. Its own belong to others, about which it would warn.
ask --command "set statement_timeout = 0; set client_min_messages = error" --command 'analyze'
echo "restored and compared: $(grep -c '^table|' "$found") tables, $(awk -F'|' '$1 == "table" { sum += $3 } END { print sum }' "$found") rows"
