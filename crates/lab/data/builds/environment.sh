#!/bin/sh
# Makes keystone's environment where the node will have it. Runs in an overlay of the image, with network.
# /run/uv is the program, /run/uv-cache its cache, /run/pins.txt what to install.
set -eu
pins=/run/pins.txt
export UV_LINK_MODE=copy UV_CACHE_DIR=/run/uv-cache
/run/uv venv --quiet --python /usr/bin/python3.11 /opt/keystone
/run/uv pip install --quiet --no-deps --python /opt/keystone/bin/python --requirement "$pins"

# Tests and caches are a third of the files and serve nobody on a node.
packages=$(echo /opt/keystone/lib/python3*/site-packages)
find "$packages" -mindepth 2 -maxdepth 3 -type d -name tests -prune -exec rm -rf {} +
find "$packages" -type d -name __pycache__ -prune -exec rm -rf {} +
find "$packages" -type d -name locale -path '*/keystone/*' -prune -exec rm -rf {} +
rm -f /opt/keystone/.gitignore /opt/keystone/.lock
# A server start must not compile. A few files of other Python versions do not compile: that is theirs.
/opt/keystone/bin/python -m compileall -q -j 2 "$packages" >/dev/null || true
# The release's own configuration file, as distributions make it. Importing all this also proves the environment.
/opt/keystone/bin/oslo-config-generator --namespace keystone --namespace oslo.cache --namespace oslo.log \
    --namespace oslo.messaging --namespace oslo.policy --namespace oslo.db --namespace oslo.middleware \
    --namespace osprofiler --output-file /opt/keystone/keystone.conf.sample
/opt/keystone/bin/python -c 'import keystone.server.wsgi, keystone.cmd.manage'
