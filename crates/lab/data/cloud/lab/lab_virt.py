"""A hypervisor for trials: its guests are lines in a file on its node, so that one can ask the hypervisor itself what it has.

The file outlives nova-compute, as guests outlive it. It does not outlive the node's power as running guests: what was
defined before the node booted anew is shut off, as libvirt's domains are.

It must never know what Nova believes: where the two differ is what tests look for.
"""

import contextlib
import fcntl
import json
import os

from oslo_log import log as logging

from nova.compute import power_state
import nova.conf
from nova import exception
from nova.virt import fake
from nova.virt import node

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

STATES = {
    'running': power_state.RUNNING,
    'paused': power_state.PAUSED,
    'shutoff': power_state.SHUTDOWN,
    'crashed': power_state.CRASHED,
    'suspended': power_state.SUSPENDED,
}
WORDS = {number: word for word, number in STATES.items()}


def boot_id():
    with open('/proc/sys/kernel/random/boot_id') as file:
        return file.read().strip()


class LabFakeDriver(fake.FakeDriver):
    """Nova's fake driver with a memory, an identity that stays, and a host of ordinary size."""

    vcpus = 16
    memory_mb = 32768
    local_gb = 500

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self._path = os.path.join(CONF.state_path, 'guests.json')

    def init_host(self, host):
        super().init_host(host)
        with self._guests():
            pass

    @contextlib.contextmanager
    def _guests(self):
        """The guests as they are in the file, written back afterwards."""
        with open(self._path + '.lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            try:
                yield self.instances
            finally:
                self._write()

    def _read(self):
        try:
            with open(self._path) as file:
                kept = json.load(file)
        except FileNotFoundError:
            kept = {'boot': boot_id(), 'guests': {}}
        booted_anew = kept['boot'] != boot_id()
        self.instances = {}
        for uuid, guest in kept['guests'].items():
            state = power_state.SHUTDOWN if booted_anew else STATES[guest['state']]
            self.instances[uuid] = fake.FakeInstance(guest['name'], state, uuid)

    def _write(self):
        guests = {uuid: {'name': guest.name, 'state': WORDS.get(guest.state, 'shutoff')}
                  for uuid, guest in self.instances.items()}
        with open(self._path + '.new', 'w') as file:
            json.dump({'boot': boot_id(), 'guests': guests}, file, indent=1)
        os.rename(self._path + '.new', self._path)

    def _set(self, instance, state):
        with self._guests() as guests:
            if instance.uuid not in guests:
                raise exception.InstanceNotFound(instance_id=instance.uuid)
            guests[instance.uuid].state = state

    # What Nova asks.

    def list_instances(self):
        with self._guests():
            return super().list_instances()

    def list_instance_uuids(self):
        with self._guests():
            return super().list_instance_uuids()

    def get_info(self, instance, use_cache=True):
        with self._guests():
            return super().get_info(instance, use_cache)

    def get_nodenames_by_uuid(self, refresh=False):
        return {node.get_local_node_uuid(): self._host}

    def get_available_resource(self, nodename):
        found = super().get_available_resource(nodename)
        if found:
            found['uuid'] = node.get_local_node_uuid()
        return found

    # What Nova wants done.

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations,
              network_info=None, **kwargs):
        # Waiting for the ports lets other threads of this process run. They would wait for the lock for ever.
        for vif in network_info or []:
            vif.fixed_ips()
            self._interfaces[vif['id']] = vif
        with self._guests():
            super().spawn(context, instance, image_meta, injected_files, admin_password, allocations, **kwargs)

    def destroy(self, *args, **kwargs):
        with self._guests():
            super().destroy(*args, **kwargs)

    def cleanup(self, *args, **kwargs):
        with self._guests():
            super().cleanup(*args, **kwargs)

    def finish_revert_migration(self, *args, **kwargs):
        with self._guests():
            super().finish_revert_migration(*args, **kwargs)

    def power_off(self, instance, timeout=0, retry_interval=0):
        self._set(instance, power_state.SHUTDOWN)

    def power_on(self, context, instance, *args, **kwargs):
        self._set(instance, power_state.RUNNING)

    def reboot(self, context, instance, network_info, reboot_type, *args, **kwargs):
        with self._guests() as guests:
            known = instance.uuid in guests
        if known:
            self._set(instance, power_state.RUNNING)
        else:
            self.spawn(context, instance, instance.image_meta, None, None, None)

    def pause(self, instance):
        self._set(instance, power_state.PAUSED)

    def unpause(self, instance):
        self._set(instance, power_state.RUNNING)

    def suspend(self, context, instance):
        self._set(instance, power_state.SUSPENDED)

    def resume(self, context, instance, *args, **kwargs):
        self._set(instance, power_state.RUNNING)

    def rescue(self, context, instance, *args, **kwargs):
        self._set(instance, power_state.RUNNING)

    def unrescue(self, context, instance):
        self._set(instance, power_state.RUNNING)

    def resume_state_on_host_boot(self, context, instance, *args, **kwargs):
        self._set(instance, power_state.RUNNING)

    def live_migration(self, context, instance, dest, post_method, recover_method,
                       block_migration=False, migrate_data=None):
        with self._guests() as guests:
            guests.pop(instance.uuid, None)
        post_method(context, instance, dest, block_migration, migrate_data)
