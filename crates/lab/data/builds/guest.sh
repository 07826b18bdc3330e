#!/bin/sh
# Makes what a guest boots: Debian's kernel for virtual machines, and an initial file system with a static busybox, the modules of
# the disk, and /run/init. Runs in an overlay of the image, with network. The result is /guest.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends busybox-static kmod
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
cd /tmp
apt-get download -qq "$kernel"
dpkg-deb --extract "$kernel"_*.deb kernel
version=${kernel#linux-image-}
mkdir -p /guest files/bin files/dev files/proc files/sys files/modules
cp "kernel/boot/vmlinuz-$version" /guest/kernel
cp "$(command -v busybox)" files/bin/busybox
cp /run/init files/init
chmod 755 files/init
depmod --basedir kernel "$version"
for module in virtio_pci virtio_blk; do
    modprobe --dirname kernel --set-version "$version" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > order
[ -s order ] || { echo 'the kernel has no module of the disk' >&2; exit 1; }
# Their names begin with their places in the order, so that the guest need not know it.
number=10
while read -r module; do
    cp "$module" "files/modules/$number-$(basename "$module")"
    number=$((number + 1))
done < order
(cd files && find . | busybox cpio -o -H newc) 2>/dev/null | gzip -9 > /guest/initramfs
