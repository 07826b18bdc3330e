#!/bin/sh
# Installs a release's packages into an overlay of the image, as a production operator would have: without db_sync.
# Argument: the release.
set -eu
release=$1
export DEBIAN_FRONTEND=noninteractive
echo "deb [trusted=yes] file:/srv/openstack/$release ./" > /etc/apt/sources.list.d/openstack.list
apt-get update -qq
echo 'keystone keystone/configure_db boolean false' | debconf-set-selections
apt-get install -y -qq keystone
# The answer on the nodes is Debian's default again: whoever upgrades a cluster has to say no.
echo 'keystone keystone/configure_db boolean true' | debconf-set-selections
systemctl is-enabled --quiet keystone.service
rm -f /var/cache/apt/*.bin
