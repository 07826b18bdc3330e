#!/bin/sh
# Adds nova-compute to an overlay of the image and takes the controller's services out of service.
# Arguments: the release, the packages.
set -eu
release=$1
shift
export DEBIAN_FRONTEND=noninteractive
echo "deb [trusted=yes] file:/srv/openstack/$release ./" > /etc/apt/sources.list.d/openstack.list
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
rm -f /var/cache/apt/*.bin
systemctl disable --quiet haproxy.service keepalived.service memcached.service
# It starts when the cloud has a conductor.
for package in "$@"; do
    systemctl disable --quiet "$package.service"
done
