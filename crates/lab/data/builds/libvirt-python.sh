#!/bin/sh
# Compiles Python's bindings of libvirt against Debian's libvirt: there is no wheel of them. Runs in an overlay of the image with
# a C compiler, with network. Argument: the version. The result is /opt/libvirt-python.
set -eu
apt-get update -qq
apt-get install -y -qq --no-install-recommends libvirt-dev pkg-config
export UV_LINK_MODE=copy UV_CACHE_DIR=/run/uv-cache
/run/uv pip install --quiet --no-deps --python /usr/bin/python3.11 --target /opt/libvirt-python "libvirt-python==$1"
find /opt/libvirt-python -type d -name __pycache__ -prune -exec rm -rf {} +
rm -f /opt/libvirt-python/.lock
PYTHONPATH=/opt/libvirt-python python3.11 -c 'import libvirt; libvirt.getVersion()'
