//! The monitors on a real hypervisor: libvirtd and qemu in namespaces of their own, guests that are killed.
//!
//! They need root, libvirt and qemu, which `./test` installs; `./test quick` leaves them out.

#[cfg(test)]
mod guests;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod libvirt;
#[cfg(test)]
#[path = "../it/running.rs"]
mod running;
#[cfg(test)]
#[allow(dead_code, reason = "other tests look at more of a request")]
#[path = "../it/server.rs"]
mod server;
