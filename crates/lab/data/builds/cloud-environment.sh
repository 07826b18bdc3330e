#!/bin/sh
# Makes the environment of the cloud services where the nodes will have it. Runs in an overlay of the image, with network.
# /run/uv is the program, /run/uv-cache its cache, /run/pins.txt what to install, /run/lab_virt.py and /run/lab_ml2.py the lab's
# own drivers.
set -eu
export UV_LINK_MODE=copy UV_CACHE_DIR=/run/uv-cache
/run/uv venv --quiet --python /usr/bin/python3.11 /opt/openstack
/run/uv pip install --quiet --no-deps --python /opt/openstack/bin/python --requirement /run/pins.txt

packages=$(echo /opt/openstack/lib/python3*/site-packages)
# Nova looks for drivers below its own package only.
cp /run/lab_virt.py "$packages/nova/virt/lab_virt.py"
cp /run/lab_ml2.py "$packages/lab_ml2.py"
mkdir "$packages/ostler_lab-1.dist-info"
printf 'Metadata-Version: 2.1\nName: ostler-lab\nVersion: 1\n' > "$packages/ostler_lab-1.dist-info/METADATA"
printf '[neutron.ml2.mechanism_drivers]\nlab = lab_ml2:LabMechanism\n' > "$packages/ostler_lab-1.dist-info/entry_points.txt"

# Tests and caches are a third of the files and serve nobody on a node.
find "$packages" -mindepth 2 -maxdepth 3 -type d -name tests -prune -exec rm -rf {} +
find "$packages" -type d -name __pycache__ -prune -exec rm -rf {} +
find "$packages" -type d -name locale -prune -exec rm -rf {} +
rm -f /opt/openstack/.gitignore /opt/openstack/.lock
# A service start must not compile. A few files of other Python versions do not compile: that is theirs.
/opt/openstack/bin/python -m compileall -q -j 2 "$packages" >/dev/null || true
# Importing proves the environment; in pieces, as the projects' options collide in one process.
for modules in 'nova.virt.lab_virt, nova.cmd.manage' 'lab_ml2, neutron.plugins.ml2.plugin' 'glance.common.wsgi_app' 'masakari.cmd.engine'; do
    /opt/openstack/bin/python -W ignore -c "import $modules" >/run/log 2>&1 || { tail -5 /run/log >&2; exit 1; }
done
