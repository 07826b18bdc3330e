# Lets the guest $guest die, by its name or uuid: its process gets SIGKILL, as from a kernel that is short of memory.
name=$(virsh --quiet list --all --uuid --name | awk -v guest="$guest" '$1 == guest || $2 == guest { print $2 }')
process=$(cat "/run/libvirt/qemu/$name.pid" 2>/dev/null || true)
if [ -z "$process" ] || ! kill -KILL "$process" 2>/dev/null; then
    echo "no guest $guest runs on this node" >&2
    exit 1
fi
