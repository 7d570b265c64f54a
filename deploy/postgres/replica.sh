#!/usr/bin/env bash
# A replica: copies the primary the first time, then follows it. SLOT is the slot of the primary that is its own.
set -euo pipefail
export PGPASSWORD
PGPASSWORD=$(cat /run/secrets/replication_password)
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  # What a copy that was interrupted has left.
  find "$PGDATA" -mindepth 1 -delete
  pg_basebackup -D "$PGDATA" -d "host=primary user=replica application_name=$SLOT" -R -S "$SLOT" -X stream -c fast
  chown -R postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
fi
exec docker-entrypoint.sh "$@"
