# Lets a guest of the pretended hypervisor die. Nobody is told. Argument: the guest's name or uuid.
import fcntl
import json
import os
import sys

path = '/var/lib/nova/guests.json'
if not os.path.exists(path):
    sys.exit('this node never had a guest')
# The hypervisor made the lock, so it belongs to nova.
with open(path + '.lock', 'r+') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open(path) as file:
        kept = json.load(file)
    with open('/proc/sys/kernel/random/boot_id') as file:
        booted_anew = file.read().strip() != kept['boot']
    hit = [guest for uuid, guest in kept['guests'].items() if sys.argv[1] in (uuid, guest['name'])]
    if booted_anew or not hit or hit[0]['state'] == 'shutoff':
        sys.exit(f'no guest {sys.argv[1]} runs on this node')
    hit[0]['state'] = 'crashed'
    owner = os.stat(path)
    with open(path + '.new', 'w') as file:
        json.dump(kept, file, indent=1)
    os.chown(path + '.new', owner.st_uid, owner.st_gid)
    os.rename(path + '.new', path)
