#!/bin/sh
# Adds libvirt and qemu to an overlay of the compute node's image. Runs with network. /run/libvirt-python are Python's bindings.
# No recommended packages, and not Debian's units either: they bring polkit, networks and a register of machines, none of which
# a guest without ports needs.
set -eu
export DEBIAN_FRONTEND=noninteractive
# The lab's own source is out of sight here; what is known of it stays.
debian='-o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0'
# shellcheck disable=SC2086
apt-get $debian update -qq
# From the one source that is there, so that all parts of qemu are of one version.
# shellcheck disable=SC2086
apt-get $debian install -y -qq --no-install-recommends libvirt-daemon libvirt-clients qemu-system-x86 qemu-utils
find /var/lib/apt/lists -type f ! -name '*srv_openstack*' ! -name lock -delete
rm -f /var/cache/apt/*.bin /var/cache/apt/archives/*.deb

groupadd --system libvirt
groupadd --system libvirt-qemu
useradd --system --gid libvirt-qemu --home-dir /var/lib/libvirt --no-create-home --shell /usr/sbin/nologin libvirt-qemu
usermod --append --groups libvirt nova
packages=$(echo /opt/openstack/lib/python3*/site-packages)
cp -r /run/libvirt-python/. "$packages/"
/opt/openstack/bin/python -m compileall -q "$packages/libvirt.py" "$packages/libvirt_qemu.py"
# Importing proves it.
/opt/openstack/bin/python -W ignore -c 'import libvirt, nova.virt.libvirt.driver' >/run/log 2>&1 || { tail -5 /run/log >&2; exit 1; }
