#!/bin/sh
# A backup, and then those go that are older than so many days:
#   PGHOST=db PGUSER=holdfast_owner PGDATABASE=holdfast PGPASSFILE=~/.pgpass sh nightly.sh /var/backups/holdfast 14
#
# For cron, a timer or a CronJob. Where no backup was made nothing is deleted: when it fails for weeks, those that are
# there stay.
set -eu

[ $# -eq 2 ] || { echo "usage: sh nightly.sh <folder for backups> <days>" >&2; exit 2; }
case $2 in '' | *[!0-9]*) echo "'$2' is no number of days" >&2; exit 2 ;; esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

sh "$here/backup.sh" "$1"
# What a backup left half-made that was killed, too.
find "$1" -maxdepth 1 -type d -name 'holdfast-????????T??????Z*' -mtime "+$2" -exec rm -rf {} +
