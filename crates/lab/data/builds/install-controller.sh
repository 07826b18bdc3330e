#!/bin/sh
# Adds the cloud services of a controller to an overlay of the image with keystone: RabbitMQ from Debian, the services from the
# release's packages, and the services' empty tables in the database, as the release's own commands make them.
# Arguments: the release, the packages.
set -eu
release=$1
shift
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends rabbitmq-server
rm -f /etc/apt/sources.list
rm -rf /var/lib/apt/lists/*
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
rm -f /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
# Each node draws none: they share the lab's.
rm -rf /var/lib/rabbitmq/.erlang.cookie /var/lib/rabbitmq/mnesia
systemctl enable --quiet rabbitmq-server.service
# They start when the lab has filled database and keystone.
for package in "$@"; do
    systemctl disable --quiet "$package.service"
done

# The tables. Nobody listens on a network here, and the accounts come when a lab is made.
install -d -o mysql -g mysql /run/mysqld
socket=/run/mysqld/mysqld.sock
mariadbd --user=mysql --skip-networking --skip-grant-tables --socket=$socket --wsrep-on=OFF --innodb-flush-log-at-trx-commit=0 \
    >/run/mariadb.log 2>&1 &
database=$!
trap 'kill $database 2>/dev/null || true' EXIT
waited=0
until mariadb-admin --socket=$socket ping >/dev/null 2>&1; do
    waited=$((waited + 1))
    [ $waited -lt 300 ] || { tail -5 /run/mariadb.log >&2; exit 1; }
    sleep 0.1
done
for name in nova_api nova nova_cell0 placement glance neutron masakari; do
    mariadb --socket=$socket -e "CREATE DATABASE $name CHARACTER SET utf8"
done
at() { echo "mysql+pymysql://root:none@localhost:3306/$1?unix_socket=$socket"; }
cd /run
# Nova looks at what its templates come to, so there has to be something to fill them with.
printf '[DEFAULT]\ntransport_url = rabbit://root:none@localhost:5672/\n[api_database]\nconnection = %s\n[database]\nconnection = %s\n' \
    "$(at nova_api)" "$(at nova)" > nova.conf
printf '[api_database]\nconnection = %s\n[database]\nconnection = %s\n' "$(at nova_api)" "$(at nova_cell0)" > cell0.conf
printf '[placement_database]\nconnection = %s\n' "$(at placement)" > placement.conf
printf '[database]\nconnection = %s\n' "$(at glance)" > glance.conf
printf '[DEFAULT]\ncore_plugin = ml2\n[database]\nconnection = %s\n' "$(at neutron)" > neutron.conf
printf '[database]\nconnection = %s\n' "$(at masakari)" > masakari.conf
# Two at a time: nearly all of it is importing.
bin=/opt/openstack/bin
nova() {
    settings=$1
    shift
    $bin/nova-manage --config-file "/run/$settings.conf" "$@" > /run/log 2>&1 || { tail -5 /run/log >&2; exit 1; }
}
other() {
    $bin/placement-manage --config-file placement.conf db sync
    $bin/glance-manage --config-file glance.conf db_sync
    $bin/neutron-db-manage --config-file neutron.conf upgrade heads
    $bin/masakari-manage --config-file masakari.conf db sync
}
(set -e; other) > other.log 2>&1 &
others=$!
nova nova api_db sync
nova nova db sync --local_cell
nova cell0 db sync --local_cell
# Templates: filled from each service's own settings, so they hold no password.
nova nova cell_v2 map_cell0 --database_connection '{scheme}://{username}:{password}@{hostname}:{port}/nova_cell0?{query}'
nova nova cell_v2 create_cell --name cell1 --database_connection '{scheme}://{username}:{password}@{hostname}:{port}/nova?{query}' \
    --transport-url '{scheme}://{username}:{password}@{hostname}:{port}/'
wait $others || { tail -5 other.log >&2; exit 1; }
mariadb-admin --socket=$socket shutdown
wait $database
trap - EXIT
