//! The dispatcher under a real execution of async-graphql, as the graph runs it.

use async_graphql::{Context, EmptyMutation, EmptySubscription, Object, Request, Response, Result, Schema, value};
use tokio::sync::RwLock;

use super::*;

struct Query;

#[Object]
impl Query {
    async fn row(&self, key: u32) -> Option<Row> {
        Some(Row(key))
    }

    async fn rows(&self, from: u32, count: u32) -> Vec<Row> {
        (from..from + count).map(Row).collect()
    }
}

struct Row(u32);

#[Object]
impl Row {
    /// Through the first loader.
    async fn value(&self, context: &Context<'_>) -> Result<Option<u32>> {
        load(context, 0, self.0).await
    }

    /// Through the first loader, when the test lets it.
    async fn later(&self, context: &Context<'_>) -> Result<Option<u32>> {
        pass(context.data_unchecked::<Arc<Semaphore>>()).await;
        load(context, 0, self.0).await
    }

    /// The row that the first loader names.
    async fn parent(&self, context: &Context<'_>) -> Result<Option<Row>> {
        Ok(load(context, 0, self.0).await?.map(Row))
    }

    /// Through the second loader.
    async fn other(&self, context: &Context<'_>) -> Result<u32> {
        load(context, 1, self.0).await?.ok_or_else(|| "not found".into())
    }

    async fn broken(&self) -> Result<u32> {
        Err("broken".into())
    }
}

type Probes = [Arc<Probe>; 2];

async fn load(context: &Context<'_>, loader: usize, key: u32) -> Result<Option<u32>> {
    // What counts against Tokio's cooperative budget.
    let _shared = context.data_unchecked::<RwLock<()>>().read().await;
    let loader = &context.data_unchecked::<Probes>()[loader];
    context.data_unchecked::<Loaders>().load(loader, key).await.map_err(|error| format!("{error:?}").into())
}

/// A request in flight: its loads go through the two loaders, its field `later` through the gate.
fn execution(
    query: &str,
    loaders: &Loaders,
    probes: &Probes,
    later: &Arc<Semaphore>,
) -> impl Future<Output = Response> + Send + use<> {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let request =
        Request::new(query).data(loaders.clone()).data(probes.clone()).data(later.clone()).data(RwLock::new(()));
    let loaders = loaders.clone();
    async move { loaders.drive(tokio::task::unconstrained(schema.execute(request))).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rows_are_one_batch_for_each_field() {
    let (loaders, probes) = (Loaders::default(), [Probe::prompt(), Probe::prompt()]);
    let query = "{ rows(from: 0, count: 1000) { value other parent { other } } }";
    let response = tokio::spawn(execution(query, &loaders, &probes, &gate())).await.unwrap();
    assert_eq!(response.errors, []);
    assert_eq!(probes[0].calls(), [(0..1_000).collect::<Vec<_>>()]);
    // The parents' are those multiples of ten that the rows did not know.
    assert_eq!(probes[1].calls(), [(0..1_000).collect::<Vec<_>>(), (100..1_000).map(|key| key * 10).collect()]);
}

#[tokio::test]
async fn rows_of_which_half_are_known_have_their_children_in_one_batch() {
    let (loaders, probes) = (Loaders::default(), [Probe::prompt(), Probe::prompt()]);
    execution("{ rows(from: 0, count: 20) { value } }", &loaders, &probes, &gate()).await.into_result().unwrap();
    let query = "{ rows(from: 0, count: 40) { parent { other } } }";
    execution(query, &loaders, &probes, &gate()).await.into_result().unwrap();
    assert_eq!(probes[0].calls(), [(0..20).collect::<Vec<_>>(), (20..40).collect()]);
    assert_eq!(probes[1].calls(), [(0..40).map(|key| key * 10).collect::<Vec<_>>()]);
}

#[test]
fn what_a_failed_sibling_takes_down_before_the_batch_is_not_loaded() {
    let (loaders, probes) = (Loaders::default(), [Probe::prompt(), Probe::prompt()]);
    let query = "{ doomed: row(key: 1) { value other broken } kept: row(key: 2) { value } }";
    let response = at_once(execution(query, &loaders, &probes, &gate()));
    assert_eq!(response.data, value!({ "doomed": null, "kept": { "value": 20 } }));
    assert_eq!(response.errors.len(), 1);
    assert_eq!(probes[1].calls(), [[0; 0]; 0], "nobody waits for it");
    let kept = probes[0].calls();
    assert!(kept == [[1, 2]] || kept == [[2]], "{kept:?}");
}

/// The batch of the resolvers that were dropped goes on, and serves whoever asks for its keys next.
#[test]
fn what_a_failed_sibling_takes_down_in_flight_is_loaded_once() {
    let (slow, failing, later) = (gate(), gate(), gate());
    let (loaders, probes) = (
        Loaders::default(),
        [
            Probe::gated(&slow),
            Probe::new({
                let failing = failing.clone();
                move |_| {
                    let failing = failing.clone();
                    async move {
                        pass(&failing).await;
                        Ok(HashMap::new())
                    }
                }
            }),
        ],
    );
    let query = "{ doomed: row(key: 1) { value other } kept: row(key: 1) { later } }";
    let mut drive = ByHand::new(execution(query, &loaders, &probes, &later));
    assert!(drive.settle().is_none());
    failing.add_permits(1);
    assert!(drive.settle().is_none());
    later.add_permits(1);
    assert!(drive.settle().is_none());
    slow.add_permits(1);
    let response = drive.settle().unwrap();
    assert_eq!(response.data, value!({ "doomed": null, "kept": { "later": 10 } }));
    assert_eq!(probes[0].calls(), [[1]]);
}

#[test]
fn a_request_that_ends_drops_what_is_in_flight() {
    let slow = gate();
    let (loaders, probes) = (Loaders::default(), [Probe::gated(&slow), Probe::new(|_| async { Err("no") })]);
    // A list that must not be null takes the whole answer down, long before the slow loader has answered.
    let response = at_once(execution("{ rows(from: 1, count: 2) { value other } }", &loaders, &probes, &gate()));
    assert_eq!(response.data, async_graphql::Value::Null);
    assert_eq!(probes[0].calls(), [[1, 2]]);
    assert_eq!(Arc::strong_count(&slow), 2, "the load in flight is gone: only the probe and the test have the gate");
}
