//! A cluster of three, each with a third of the slots.

use std::collections::HashSet;

use super::servers::{Server, arguments, free_port};
use super::{break_open, fill, hasty, keys, numbered, open, patient, read, until, write};
use crate::data::cache::far::{Far, Settings};

const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

struct Cluster([Server; 3]);

impl Cluster {
    async fn start() -> Self {
        let nodes = [Self::node().await, Self::node().await, Self::node().await];
        for (n, (node, (first, last))) in nodes.iter().zip(SLOTS).enumerate() {
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]).await;
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        for node in &nodes[1..] {
            let (port, bus) = (node.port.to_string(), node.bus());
            nodes[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        let cluster = Self(nodes);
        cluster.is_well().await;
        cluster
    }

    async fn node() -> Server {
        Server::with(|_, port| {
            let (port, bus) = (port.to_string(), free_port().to_string());
            arguments(&["--cluster-port", &bus, "--port", &port, "--cluster-enabled", "yes"])
        })
        .await
    }

    /// Waits until all nodes know of all slots.
    async fn is_well(&self) {
        for node in &self.0 {
            until("the cluster is well", async || {
                let info = node.ask::<String>(&["CLUSTER", "INFO"]).await;
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            })
            .await;
        }
    }

    fn far(&self, settings: impl Fn(&str) -> Settings) -> Far {
        open(&Settings { cluster: true, ..settings(&self.0[0].url()) })
    }
}

impl Server {
    /// The port on which the nodes of a cluster talk.
    fn bus(&self) -> String {
        self.argument(1)
    }
}

#[tokio::test]
async fn a_batch_spans_slots_and_nodes() {
    let cluster = Cluster::start().await;
    let far = cluster.far(patient);
    let (names, values) = numbered(300);
    write(&far, &names, &values).await;
    for node in &cluster.0 {
        assert!(node.ask::<usize>(&["DBSIZE"]).await > 50, "each node has its share");
    }
    let mut slots = HashSet::new();
    for name in &names {
        slots.insert(cluster.0[0].ask::<u16>(&["CLUSTER", "KEYSLOT", name]).await);
    }
    assert!(slots.len() > 250);
    let asked = keys(["key:7", "missing", "key:3", "key:7", "key:299", "another that is missing"]);
    let found = [Some(7), None, Some(3), Some(7), Some(299), None];
    let expected: Vec<_> = found.iter().map(|found| found.map(|n: usize| values[n].clone())).collect();
    assert_eq!(far.get(&asked).await, Ok(expected));
    // All in one slot.
    let one = keys(["{key}:a", "{key}:b", "{key}:c"]);
    far.fill([fill(&one[0], "a"), fill(&one[2], "c")]);
    until("both", async || read(&far, &one).await == [Some(b"a".to_vec()), None, Some(b"c".to_vec())]).await;
    assert!(far.answers().await);
    assert_eq!(far.state(), "closed");
}

#[tokio::test]
async fn a_node_that_comes_back_is_found_by_itself() {
    let mut cluster = Cluster::start().await;
    let far = cluster.far(patient);
    let (names, values) = numbered(50);
    write(&far, &names, &values).await;
    // The first is the one that the settings name.
    for lost in [1, 0] {
        cluster.0[lost].stop();
        until("it is missed", async || far.get(&names).await.is_err()).await;
        until("the breaker opens", async || far.get(&names).await.is_err() && far.state() == "open").await;
        cluster.0[lost].restart().await;
        cluster.is_well().await;
        let found = read(&far, &names).await;
        assert!(found.contains(&None), "it has lost its share");
        for (n, found) in found.into_iter().enumerate() {
            assert!(found.is_none_or(|found| found == values[n]));
        }
        write(&far, &names, &values).await;
        assert_eq!(far.state(), "closed");
    }
}

#[tokio::test]
async fn the_whole_cluster_may_go_and_come_back() {
    let mut cluster = Cluster::start().await;
    let far = cluster.far(patient);
    let (names, values) = numbered(50);
    write(&far, &names, &values).await;
    for node in &mut cluster.0 {
        node.stop();
    }
    break_open(&far).await;
    for node in &mut cluster.0 {
        node.restart().await;
    }
    cluster.is_well().await;
    write(&far, &names, &values).await;
}

#[tokio::test]
async fn nobody_waits_for_a_frozen_node_nor_takes_a_late_answer() {
    let cluster = Cluster::start().await;
    let far = cluster.far(hasty);
    let (names, values) = numbered(100);
    write(&far, &names, &values).await;
    for frozen in [2, 0] {
        cluster.0[frozen].freeze().await;
        until("the breaker opens", async || far.get(&names).await.is_err() && far.state() == "open").await;
        cluster.0[frozen].thaw();
        let mut answers = 0;
        until("many answers", async || {
            for n in 0..100 {
                let asked = [n, (n * 37) % 100, (n * 61) % 100];
                let Ok(found) = far.get(&asked.map(|n| names[n].clone())).await else { continue };
                assert_eq!(found, asked.map(|n| Some(values[n].clone())));
                answers += 1;
            }
            answers >= 200
        })
        .await;
    }
}

/// Slots move while the far tier is in use. The client of a cluster may get stuck over that, and is replaced then.
#[tokio::test]
async fn slots_that_move_are_followed() {
    let cluster = Cluster::start().await;
    let far = cluster.far(hasty);
    let (names, values) = numbered(100);
    write(&far, &names, &values).await;
    let taker = cluster.0[1].ask::<String>(&["CLUSTER", "MYID"]).await;
    let giver = cluster.0[0].ask::<String>(&["CLUSTER", "MYID"]).await;
    for slot in ["0", "1", "2"].into_iter().map(str::to_owned).chain(slots_of(&cluster, &names).await) {
        cluster.0[1].ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &giver]).await;
        cluster.0[0].ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &taker]).await;
        let moved = cluster.0[0].ask::<Vec<String>>(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
        for key in &moved {
            let port = cluster.0[1].port.to_string();
            cluster.0[0].ask::<String>(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000", "REPLACE"]).await;
        }
        for node in &cluster.0[..2] {
            node.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &taker]).await;
        }
        let expected: Vec<_> = values.iter().cloned().map(Some).collect();
        assert_eq!(read(&far, &names).await, expected);
    }
}

/// Some slots of the first node with keys in them.
async fn slots_of(cluster: &Cluster, names: &[String]) -> Vec<String> {
    let mut slots = HashSet::new();
    for name in names {
        slots.insert(cluster.0[0].ask::<u16>(&["CLUSTER", "KEYSLOT", name]).await);
    }
    slots.into_iter().filter(|slot| *slot <= 5460).take(5).map(|slot| slot.to_string()).collect()
}
