# Lets the guest $guest die, by its name or uuid: its process gets SIGKILL, as from a kernel that is short of memory.
name=$(virsh domname "$guest" 2>/dev/null || echo "$guest")
process=$(cat "/run/libvirt/qemu/$name.pid" 2>/dev/null || true)
if [ -z "$process" ] || ! kill -KILL "$process" 2>/dev/null; then
    echo "no guest $guest runs on this node" >&2
    exit 1
fi
