//! RabbitMQ, pretended: nodes that part, alarms that block publishers, queues, and consumers that no longer listen.
//!
//! A message is in one queue, or with one consumer that has not acknowledged it; a consumer that is gone gives its messages
//! back. Must never lose a message of a queue whose node lives, and never deliver across a partition.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Why a broker did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RabbitError {
    /// The node does not run, or has paused itself as part of a minority.
    Down(String),
    /// An alarm somewhere in the cluster blocks every publisher: the client waits, without an error, for as long as it can.
    Blocked(String),
    /// There is no such queue.
    NoQueue(String),
    /// The queue's node cannot be reached from this one.
    Unreachable(String),
}

impl fmt::Display for RabbitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RabbitError::Down(text)
            | RabbitError::Blocked(text)
            | RabbitError::NoQueue(text)
            | RabbitError::Unreachable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RabbitError {}

/// A resource alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Above the memory watermark.
    Memory,
    /// Below the free disk limit.
    Disk,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Rises with each one published.
    pub id: u64,
    /// When it was published.
    pub at: u64,
    /// What it says.
    pub body: String,
}

#[derive(Clone, Debug, Default)]
struct Node {
    up: bool,
    alarms: BTreeSet<Alarm>,
    /// Nodes with the same number see each other.
    side: u32,
}

#[derive(Clone, Debug, Default)]
struct Consumer {
    node: String,
    deaf: bool,
    unacked: Vec<Message>,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    node: String,
    ready: VecDeque<Message>,
    consumers: BTreeMap<String, Consumer>,
    /// Whose turn it is.
    turn: usize,
}

/// What a node says of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Whether it takes connections.
    pub running: bool,
    /// Nodes that it has lost to a partition.
    pub partitions: Vec<String>,
    /// Its own alarms.
    pub alarms: Vec<Alarm>,
}

/// What `list_queues` says of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSeen {
    /// Its name.
    pub name: String,
    /// Messages that nobody has.
    pub ready: usize,
    /// Messages that a consumer has and has not acknowledged.
    pub unacked: usize,
    /// How many consumers, deaf ones among them.
    pub consumers: usize,
}

/// A cluster.
#[derive(Clone, Debug, Default)]
pub struct Rabbit {
    nodes: BTreeMap<String, Node>,
    queues: BTreeMap<String, Queue>,
    /// `cluster_partition_handling = pause_minority`.
    pause_minority: bool,
    published: u64,
}

impl Rabbit {
    /// A healthy cluster.
    pub fn new(nodes: &[&str], pause_minority: bool) -> Rabbit {
        let node = |name: &&str| ((*name).to_owned(), Node { up: true, ..Node::default() });
        Rabbit { nodes: nodes.iter().map(node).collect(), pause_minority, ..Rabbit::default() }
    }

    /// Starts or stops a node. A queue's messages survive with the node's disk; consumers that were connected to it go.
    pub fn set_node(&mut self, node: &str, up: bool) {
        if let Some(found) = self.nodes.get_mut(node) {
            found.up = up;
        }
        if !up {
            for queue in self.queues.values_mut() {
                let gone: Vec<String> = (queue.consumers.iter())
                    .filter(|(_, consumer)| consumer.node == node || queue.node == node)
                    .map(|(name, _)| name.clone())
                    .collect();
                gone.iter().for_each(|name| queue.give_back(name));
            }
        }
    }

    /// Raises or ends an alarm.
    pub fn set_alarm(&mut self, node: &str, alarm: Alarm, raised: bool) {
        if let Some(found) = self.nodes.get_mut(node) {
            match raised {
                true => found.alarms.insert(alarm),
                false => found.alarms.remove(&alarm),
            };
        }
    }

    /// Splits the cluster: these nodes on one side, the others on the other.
    pub fn part(&mut self, away: &[&str]) {
        for (name, node) in &mut self.nodes {
            node.side = u32::from(away.contains(&name.as_str()));
        }
    }

    /// Ends every partition.
    pub fn join(&mut self) {
        self.part(&[]);
    }

    /// Declares a queue on a node.
    pub fn declare(&mut self, queue: &str, node: &str) {
        let new = Queue { node: node.to_owned(), ..Queue::default() };
        self.queues.entry(queue.to_owned()).or_insert(new);
    }

    /// Whether a node takes connections.
    pub fn is_running(&self, node: &str) -> bool {
        let Some(found) = self.nodes.get(node).filter(|found| found.up) else { return false };
        let with = self.nodes.values().filter(|other| other.up && other.side == found.side).count();
        !self.pause_minority || with * 2 > self.nodes.len()
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let side = |name: &str| self.nodes.get(name).map(|node| node.side);
        self.is_running(from) && self.is_running(to) && side(from) == side(to)
    }

    /// Publishes through a node.
    pub fn publish(&mut self, now: u64, through: &str, queue: &str, body: &str) -> Result<u64, RabbitError> {
        if !self.is_running(through) {
            return Err(RabbitError::Down(format!("AMQP server on {through}:5672 is unreachable")));
        }
        let side = self.nodes.get(through).map(|node| node.side);
        let alarmed = self.nodes.iter().find(|(_, node)| Some(node.side) == side && !node.alarms.is_empty());
        if let Some((node, _)) = alarmed {
            return Err(RabbitError::Blocked(format!(
                "the broker has blocked the connection: alarm on {node}"
            )));
        }
        let Some(home) = self.queues.get(queue).map(|queue| queue.node.clone()) else {
            return Err(RabbitError::NoQueue(format!("no queue '{queue}'")));
        };
        if !self.reaches(through, &home) {
            return Err(RabbitError::Unreachable(format!(
                "home node '{home}' of queue '{queue}' is unreachable"
            )));
        }
        self.published += 1;
        let message = Message { id: self.published, at: now, body: body.to_owned() };
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.ready.push_back(message);
        }
        Ok(self.published)
    }

    /// Connects a consumer through a node.
    pub fn consume(&mut self, queue: &str, consumer: &str, through: &str) -> Result<(), RabbitError> {
        let Some(home) = self.queues.get(queue).map(|queue| queue.node.clone()) else {
            return Err(RabbitError::NoQueue(format!("no queue '{queue}'")));
        };
        if !self.reaches(through, &home) {
            return Err(RabbitError::Unreachable(format!(
                "home node '{home}' of queue '{queue}' is unreachable"
            )));
        }
        if let Some(queue) = self.queues.get_mut(queue) {
            let new = Consumer { node: through.to_owned(), ..Consumer::default() };
            queue.consumers.insert(consumer.to_owned(), new);
        }
        Ok(())
    }

    /// Makes a consumer deaf: it stays connected, is given its share, and does nothing with it; or ends that.
    pub fn set_deaf(&mut self, queue: &str, consumer: &str, deaf: bool) {
        let found = self.queues.get_mut(queue).and_then(|queue| queue.consumers.get_mut(consumer));
        if let Some(found) = found {
            found.deaf = deaf;
        }
    }

    /// Ends a consumer's connection: what it had is ready again.
    pub fn disconnect(&mut self, queue: &str, consumer: &str) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.give_back(consumer);
        }
    }

    /// Hands every ready message to the consumers in turn, and says which of them a listening one was given.
    pub fn deliver(&mut self, queue: &str) -> Vec<(String, Message)> {
        let Some(found) = self.queues.get(queue) else { return Vec::new() };
        let reached: Vec<String> = (found.consumers.iter())
            .filter(|(_, consumer)| self.reaches(&consumer.node, &found.node))
            .map(|(name, _)| name.clone())
            .collect();
        let Some(found) = self.queues.get_mut(queue).filter(|_| !reached.is_empty()) else {
            return Vec::new();
        };
        let mut heard = Vec::new();
        while let Some(message) = found.ready.pop_front() {
            let name = reached.get(found.turn % reached.len()).cloned().unwrap_or_default();
            found.turn = found.turn.wrapping_add(1);
            if let Some(consumer) = found.consumers.get_mut(&name) {
                consumer.unacked.push(message.clone());
                if !consumer.deaf {
                    heard.push((name, message));
                }
            }
        }
        heard
    }

    /// Acknowledges a message.
    pub fn acknowledge(&mut self, queue: &str, consumer: &str, id: u64) {
        let found = self.queues.get_mut(queue).and_then(|queue| queue.consumers.get_mut(consumer));
        if let Some(found) = found {
            found.unacked.retain(|message| message.id != id);
        }
    }

    /// What every node says of itself and the others.
    pub fn status(&self) -> Vec<NodeSeen> {
        let seen = |(name, node): (&String, &Node)| {
            let lost = self.nodes.iter().filter(|(_, other)| other.up && other.side != node.side);
            NodeSeen {
                name: name.clone(),
                running: self.is_running(name),
                partitions: lost.map(|(name, _)| name.clone()).collect(),
                alarms: node.alarms.iter().copied().collect(),
            }
        };
        self.nodes.iter().map(seen).collect()
    }

    /// What `list_queues` says.
    pub fn list_queues(&self) -> Vec<QueueSeen> {
        let seen = |(name, queue): (&String, &Queue)| QueueSeen {
            name: name.clone(),
            ready: queue.ready.len(),
            unacked: queue.consumers.values().map(|consumer| consumer.unacked.len()).sum(),
            consumers: queue.consumers.len(),
        };
        self.queues.iter().map(seen).collect()
    }
}

impl Queue {
    fn give_back(&mut self, consumer: &str) {
        let had = self.consumers.remove(consumer).map(|consumer| consumer.unacked).unwrap_or_default();
        for message in had.into_iter().rev() {
            self.ready.push_front(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Rabbit {
        let mut rabbit = Rabbit::new(&["ctl1", "ctl2", "ctl3"], true);
        rabbit.declare("compute.cmp1", "ctl1");
        rabbit
    }

    #[test]
    fn a_message_waits_for_a_consumer() {
        let mut rabbit = cluster();
        let id = rabbit.publish(5, "ctl2", "compute.cmp1", "ping").unwrap();
        rabbit.consume("compute.cmp1", "cmp1", "ctl3").unwrap();
        let message = Message { id, at: 5, body: "ping".into() };
        assert_eq!(rabbit.deliver("compute.cmp1"), [("cmp1".to_owned(), message)]);
    }

    #[test]
    fn an_alarm_on_one_node_blocks_publishers_on_all() {
        let mut rabbit = cluster();
        rabbit.set_alarm("ctl3", Alarm::Disk, true);
        let answer = rabbit.publish(0, "ctl1", "compute.cmp1", "ping");
        assert!(matches!(answer, Err(RabbitError::Blocked(_))));
    }

    #[test]
    fn an_alarm_that_ends_lets_publishers_go_on() {
        let mut rabbit = cluster();
        rabbit.set_alarm("ctl3", Alarm::Memory, true);
        rabbit.set_alarm("ctl3", Alarm::Memory, false);
        assert!(rabbit.publish(0, "ctl1", "compute.cmp1", "ping").is_ok());
    }

    #[test]
    fn a_minority_pauses_itself() {
        let mut rabbit = cluster();
        rabbit.part(&["ctl1"]);
        let running: Vec<bool> = rabbit.status().iter().map(|node| node.running).collect();
        assert_eq!(running, [false, true, true]);
    }

    #[test]
    fn without_pausing_both_sides_run_and_each_misses_the_other() {
        let mut rabbit = Rabbit::new(&["ctl1", "ctl2", "ctl3"], false);
        rabbit.part(&["ctl1"]);
        let seen: Vec<(bool, usize)> =
            rabbit.status().iter().map(|node| (node.running, node.partitions.len())).collect();
        assert_eq!(seen, [(true, 2), (true, 1), (true, 1)]);
    }

    #[test]
    fn a_queue_across_a_partition_is_out_of_reach() {
        let mut rabbit = cluster();
        rabbit.part(&["ctl1"]);
        let answer = rabbit.publish(0, "ctl2", "compute.cmp1", "ping");
        assert!(matches!(answer, Err(RabbitError::Unreachable(_))));
    }

    #[test]
    fn a_deaf_consumer_swallows_messages_that_nobody_works_on() {
        let mut rabbit = cluster();
        rabbit.consume("compute.cmp1", "cmp1", "ctl1").unwrap();
        rabbit.set_deaf("compute.cmp1", "cmp1", true);
        rabbit.publish(0, "ctl1", "compute.cmp1", "ping").unwrap();
        assert_eq!(rabbit.deliver("compute.cmp1"), []);
        let seen = QueueSeen { name: "compute.cmp1".into(), ready: 0, unacked: 1, consumers: 1 };
        assert_eq!(rabbit.list_queues(), [seen]);
    }

    #[test]
    fn what_a_deaf_consumer_had_is_ready_again_when_it_is_gone() {
        let mut rabbit = cluster();
        rabbit.consume("compute.cmp1", "cmp1", "ctl1").unwrap();
        rabbit.set_deaf("compute.cmp1", "cmp1", true);
        rabbit.publish(0, "ctl1", "compute.cmp1", "ping").unwrap();
        let _swallowed = rabbit.deliver("compute.cmp1");
        rabbit.disconnect("compute.cmp1", "cmp1");
        assert_eq!(rabbit.list_queues().iter().map(|queue| queue.ready).sum::<usize>(), 1);
    }

    #[test]
    fn an_acknowledged_message_is_gone() {
        let mut rabbit = cluster();
        rabbit.consume("compute.cmp1", "cmp1", "ctl1").unwrap();
        let id = rabbit.publish(0, "ctl1", "compute.cmp1", "ping").unwrap();
        let _heard = rabbit.deliver("compute.cmp1");
        rabbit.acknowledge("compute.cmp1", "cmp1", id);
        rabbit.disconnect("compute.cmp1", "cmp1");
        assert_eq!(rabbit.list_queues().iter().map(|queue| queue.ready + queue.unacked).sum::<usize>(), 0);
    }

    #[test]
    fn a_node_that_stops_takes_its_consumers_and_keeps_its_messages() {
        let mut rabbit = cluster();
        rabbit.consume("compute.cmp1", "cmp1", "ctl1").unwrap();
        rabbit.publish(0, "ctl1", "compute.cmp1", "ping").unwrap();
        rabbit.set_node("ctl1", false);
        rabbit.set_node("ctl1", true);
        let seen = QueueSeen { name: "compute.cmp1".into(), ready: 1, unacked: 0, consumers: 0 };
        assert_eq!(rabbit.list_queues(), [seen]);
    }
}
