# Prints every guest that libvirt has on this node: uuid and name, then `--`, then each one's state.
virsh --quiet list --all --uuid --name
echo --
virsh --quiet domstats --state
