#!/bin/sh
# As the official image does: the database of POSTGRES_USER on the first start, then the server.
set -e
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --encoding=UTF8 --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    export PGPASSWORD="$POSTGRES_PASSWORD"
    pg_ctl start --wait --options="-k /tmp -c listen_addresses=''"
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl stop --wait
fi
exec postgres -k /tmp -c listen_addresses='*'
