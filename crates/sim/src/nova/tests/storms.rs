//! Storms: everything at random from a seed, and what must hold whatever happens.

use super::*;

/// Seeds of each storm: enough for every pair of actions to meet.
const SEEDS: u64 = 60;
/// Actions of one storm.
const ACTIONS: u64 = 300;
/// Hosts of one storm.
const HOSTS: u64 = 5;

struct Storm {
    nova: Nova,
    seed: u64,
    now: u64,
    ids: Vec<InstanceId>,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let mut nova = cloud(HOSTS as u32);
        nova.add_group(GroupId(1), false);
        let one = |nova: &mut Nova, n: u64| {
            let group = (n.is_multiple_of(4)).then_some(GroupId(1));
            nova.place(0, Instance { group, ..small() }, Some(&host((n % HOSTS + 1) as u32)))
        };
        let ids = (0..12).map(|n| one(&mut nova, n)).collect();
        Storm { nova, seed, now: 0, ids }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.seed = types::mix(self.seed);
        self.seed % below
    }

    /// One random action. `safe`: hosts lose power, and are declared down only then; nothing is cut off.
    fn act(&mut self, safe: bool) {
        self.now += self.roll(20 * S);
        let (now, n) = (self.now, self.roll(HOSTS) as u32 + 1);
        let turn = self.roll(self.ids.len() as u64) as usize;
        let (id, name) = (self.ids[turn], host(n));
        let nova = &mut self.nova;
        let migration = nova.instance(id).and_then(|instance| instance.migrations.last().copied());
        let action = { types::mix(self.seed ^ 1) % if safe { 11 } else { 20 } };
        // Refusals are part of a storm.
        let _answer = match action {
            0 => {
                nova.power_off(now, &name);
                force_down(nova, now, n, true)
            }
            1 => {
                nova.power_on(now, &name);
                Ok(())
            }
            2 | 3 => force_down(nova, now, n, false),
            4 | 5 if !safe || nova.host(&name).is_some_and(|host| !host.power) => {
                nova.evacuate(now, ADMIN, id, &any())
            }
            6 => nova.live_migrate(now, ADMIN, id, &LiveRequest::default()),
            7 => nova.stop(now, ADMIN, id),
            8 => nova.start(now, ADMIN, id),
            9 => match migration {
                Some(migration) => nova.abort_live(now, ADMIN, id, migration),
                None => Ok(()),
            },
            10 => {
                nova.advance(now + 300 * S);
                self.now += 300 * S;
                Ok(())
            }
            11 => {
                nova.cut(now, &name);
                Ok(())
            }
            12 => {
                nova.rejoin(now, &name);
                Ok(())
            }
            13 => {
                nova.restart_compute(now, &name);
                Ok(())
            }
            14 => nova.reset_state(now, ADMIN, id, now.is_multiple_of(2)),
            15 => {
                nova.set_bus(now, now.is_multiple_of(3));
                Ok(())
            }
            16 => nova.migrate(now, ADMIN, id, None),
            17 => nova.confirm_resize(now, ADMIN, id),
            18 => nova.revert_resize(now, ADMIN, id),
            19 => nova.delete(now, ADMIN, id),
            _ => Ok(()),
        };
    }
}

/// What is written twice says the same twice.
fn check(nova: &Nova, seed: u64) {
    for (name, host) in nova.hosts() {
        let here = nova.instances().filter(|instance| instance.host.as_ref() == Some(name));
        let here: BTreeSet<InstanceId> = here.map(|instance| instance.id).collect();
        assert_eq!(here, host.instances, "seed {seed}: the index of {name}");
        let held = nova.placement().holders(name).iter().map(|(_, amount)| amount.ram_mb).sum::<u64>();
        let used = nova.placement().usage(name).map(|(_, used)| used.ram_mb);
        assert_eq!(used, Some(held), "seed {seed}: the room of {name}");
        assert!(host.live_running <= 1, "seed {seed}: {name} migrates {} at once", host.live_running);
    }
    let mut alive: BTreeMap<InstanceId, u32> = BTreeMap::new();
    for (id, _) in nova.hosts().flat_map(|(_, host)| &host.guests).filter(|(_, guest)| guest.state.is_alive())
    {
        *alive.entry(*id).or_default() += 1;
    }
    assert_eq!(alive, nova.alive, "seed {seed}: living guests");
    let twice: Vec<InstanceId> = alive.iter().filter(|(_, count)| **count > 1).map(|(id, _)| *id).collect();
    let said: Vec<InstanceId> = nova.active_twice().iter().map(|(id, _)| *id).collect();
    assert_eq!(said, twice, "seed {seed}: guests that run twice");
}

#[test]
fn indexes_hold_whatever_happens() {
    for seed in 0..SEEDS {
        let mut storm = Storm::new(seed);
        for _ in 0..ACTIONS {
            storm.act(false);
            check(&storm.nova, seed);
        }
    }
}

#[test]
fn a_wild_storm_does_run_guests_twice() {
    let caught = (0..SEEDS).filter(|seed| {
        let mut storm = Storm::new(*seed);
        (0..ACTIONS).for_each(|_| storm.act(false));
        !storm.nova.ever_active_twice().is_empty()
    });
    assert!(caught.count() > 0);
}

#[test]
fn a_slot_of_a_source_is_free_again_when_nothing_moves() {
    for seed in 0..SEEDS {
        let mut storm = Storm::new(seed);
        (0..ACTIONS).for_each(|_| storm.act(true));
        storm.nova.advance(storm.now + 3_600 * S);
        let busy = storm.nova.hosts().filter(|(_, host)| host.power && host.live_running > 0).count();
        assert_eq!(busy, 0, "seed {seed}");
    }
}
