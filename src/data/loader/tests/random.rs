//! Random graphs of loads against an evaluation that asks for one key at a time.

use std::collections::{BTreeSet, HashSet};

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

/// Two that find some keys, one that always fails, one that always panics.
const LOADERS: usize = 4;

/// One load, and those that depend on its answer.
#[derive(Clone, Debug)]
struct Node {
    loader: usize,
    key: u32,
    /// How often the resolver wakes itself before it asks.
    wakes: usize,
    below: Vec<Node>,
}

/// A load's answer, and those below it.
#[derive(Debug, PartialEq, Eq)]
struct Tree(Result<Option<u32>, LoadError<&'static str>>, Vec<Tree>);

fn graphs() -> impl Strategy<Value = Vec<Node>> {
    let node = |below: BoxedStrategy<Vec<Node>>| {
        let own = (0..LOADERS, 0..6_u32, prop_oneof![4 => Just(0), 1 => 1..100_usize]);
        (own, below).prop_map(|((loader, key, wakes), below)| Node { loader, key, wakes, below })
    };
    let leaf = node(Just(Vec::new()).boxed());
    let tree = leaf.prop_recursive(4, 64, 4, move |inner| node(prop::collection::vec(inner, 0..5).boxed()));
    prop::collection::vec(tree, 1..8)
}

fn answer(loader: usize, key: u32) -> Result<Option<u32>, LoadError<&'static str>> {
    match loader {
        0 => Ok((!key.is_multiple_of(3)).then_some(key + 1)),
        1 => Ok((!key.is_multiple_of(2)).then_some(key * 2)),
        2 => Err(LoadError::Loader("no")),
        _ => Err(LoadError::Panicked),
    }
}

/// The key of a node below one with this answer.
fn key_below(node: &Node, above: &Result<Option<u32>, LoadError<&'static str>>) -> u32 {
    node.key + above.as_ref().map_or(100, |value| value.unwrap_or(50))
}

fn naive(node: &Node, key: u32) -> Tree {
    let answer = answer(node.loader, key);
    let below = node.below.iter().map(|below| naive(below, key_below(below, &answer))).collect();
    Tree(answer, below)
}

fn resolve<'a>(loaders: &'a Loaders, probes: &'a [Arc<Probe>], node: &'a Node, key: u32) -> BoxFuture<'a, Tree> {
    async move {
        wake_self(node.wakes).await;
        let answer = ask(loaders, &probes[node.loader], key).await;
        let below = node.below.iter().map(|below| resolve(loaders, probes, below, key_below(below, &answer)));
        let below = join_all(below).await;
        Tree(answer, below)
    }
    .boxed()
}

/// Loaders that wake themselves so many times before they answer.
fn probes(latencies: [usize; LOADERS]) -> Vec<Arc<Probe>> {
    let probe = |loader: usize| {
        Probe::new(move |keys| async move {
            wake_self(latencies[loader]).await;
            let mut found = HashMap::new();
            for key in keys {
                match answer(loader, key) {
                    Ok(value) => found.extend(value.map(|value| (key, value))),
                    Err(LoadError::Loader(error)) => return Err(error),
                    Err(_) => std::panic::resume_unwind(Box::new("as it should")),
                }
            }
            Ok(found)
        })
    };
    (0..LOADERS).map(probe).collect()
}

/// The loaders on the way to each node of a graph, itself included.
fn paths(nodes: &[Node], above: &[usize], found: &mut BTreeSet<Vec<usize>>) {
    for node in nodes {
        let path = [above, &[node.loader]].concat();
        found.insert(path.clone());
        paths(&node.below, &path, found);
    }
}

/// Runs a graph, checks its answers, and tells how many batches each loader had.
fn batches(graph: &[Node], latencies: [usize; LOADERS]) -> Result<Vec<usize>, TestCaseError> {
    let (loaders, probes) = (Loaders::default(), probes(latencies));
    let roots = join_all(graph.iter().map(|node| resolve(&loaders, &probes, node, node.key)));
    let answers = at_once(loaders.drive(roots));
    prop_assert_eq!(answers, graph.iter().map(|node| naive(node, node.key)).collect::<Vec<_>>());
    for probe in &probes {
        let keys = probe.calls().concat();
        prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "a key was loaded twice: {:?}", keys);
    }
    Ok(probes.iter().map(|probe| probe.calls().len()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However long each loader takes, all nodes that are reached by the same loaders share a batch.
    #[test]
    fn there_are_no_more_batches_than_paths(graph in graphs(), latencies in prop::array::uniform4(0..100_usize)) {
        let mut ways = BTreeSet::new();
        paths(&graph, &[], &mut ways);
        for (loader, batches) in batches(&graph, latencies)?.into_iter().enumerate() {
            let ways = ways.iter().filter(|path| path.ends_with(&[loader])).count();
            prop_assert!(batches <= ways, "loader {loader}: {batches} batches, {ways} paths");
        }
    }

    /// Where no loader is slower than another, all nodes of a level do.
    #[test]
    fn there_are_no_more_batches_than_levels(graph in graphs()) {
        let mut ways = BTreeSet::new();
        paths(&graph, &[], &mut ways);
        for (loader, batches) in batches(&graph, [0; LOADERS])?.into_iter().enumerate() {
            let asking = ways.iter().filter(|path| path.ends_with(&[loader]));
            let levels = asking.map(Vec::len).collect::<BTreeSet<_>>().len();
            prop_assert!(batches <= levels, "loader {loader}: {batches} batches, {levels} levels");
        }
    }
}

/// What the properties rest on: that a graph is not trivially small.
#[test]
fn graphs_have_several_levels() {
    let mut runner = TestRunner::deterministic();
    let deepest = (0..100).map(|_| {
        let mut ways = BTreeSet::new();
        paths(&graphs().new_tree(&mut runner).unwrap().current(), &[], &mut ways);
        ways.iter().map(Vec::len).max()
    });
    assert!(deepest.max() >= Some(Some(4)));
}
