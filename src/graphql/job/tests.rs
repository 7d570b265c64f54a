//! Who may not see jobs, sees none by any way.

use std::sync::OnceLock;

use async_graphql::{Request, Response, ValidationMode, Value};
use tempfile::TempDir;

use super::*;
use crate::data::databases::{self, Databases, Needs};
use crate::data::fetch::Sources;
use crate::data::write::{CountChanges, Writes};
use crate::graphql::context::{RequestContext, Settings};
use crate::graphql::guard::Limits;
use crate::graphql::policy::Policy;
use crate::graphql::subscription::Stage;
use crate::graphql::{declarations, graph, subscriptions};

const ID: &str = "Sm9iOjE";
const FORBIDDEN: &str = "FORBIDDEN";

/// An embedded database without a table, which is enough for who may see nothing of it.
pub(in crate::graphql) struct World {
    _dir: TempDir,
    sources: Sources,
}

impl World {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let settings = databases::Settings { data_dir: dir.path().to_owned(), ..databases::Settings::default() };
        let databases = Databases::open(&settings).await.unwrap();
        let (sources, _) = Sources::open(databases, declarations(), Default::default(), None).unwrap();
        Self { _dir: dir, sources }
    }

    pub fn context(&self, role: Role) -> RequestContext {
        let writes = Writes::new(self.sources.databases.clone(), Arc::new(CountChanges));
        let settings = Settings {
            page_size: 20,
            max_page_size: 100,
            count_cap: 100,
            max_nodes: 10,
            timeout_ms: 1000,
            document_cache_bytes: 0,
            introspection: true,
            suggestions: false,
            budgets: None,
            max_price: 1000,
            limits: Limits::default(),
        };
        let context = RequestContext::new(&self.sources, Needs::default(), writes, settings.into(), Policy::NONE);
        RequestContext { viewer: Viewer { role, user: Some(1) }, ..context }
    }
}

/// The codes of the errors of a response.
pub(in crate::graphql) fn codes(response: &Response) -> Vec<String> {
    response.errors.iter().map(crate::graphql::error::code).collect()
}

#[tokio::test]
async fn nobody_but_admins_sees_or_changes_jobs() {
    let world = World::new().await;
    let graph = graph(ValidationMode::Strict, false);
    for role in [Role::Customer, Role::Author, Role::Moderator] {
        for (query, data) in [
            (format!("{{ job(id: \"{ID}\") {{ id }} }}"), "{job: null}"),
            (format!("{{ node(id: \"{ID}\") {{ id }} }}"), "{node: null}"),
            (format!("{{ nodes(ids: [\"{ID}\"]) {{ id }} }}"), "{nodes: [null]}"),
            (
                format!("{{ _entities(representations: [{{ __typename: \"Job\", id: \"{ID}\" }}]) {{ __typename }} }}"),
                "{_entities: [null]}",
            ),
            ("{ jobs { nodes { id } } }".to_owned(), "null"),
            ("{ jobs(filter: { kind: \"mail\" }) { totalCount } }".to_owned(), "null"),
            (format!("mutation {{ retryJob(input: {{ id: \"{ID}\" }}) {{ job {{ id }} }} }}"), "{retryJob: null}"),
            (format!("mutation {{ cancelJob(input: {{ id: \"{ID}\" }}) {{ job {{ id }} }} }}"), "{cancelJob: null}"),
        ] {
            let response = graph.execute(Request::new(&query).data(world.context(role))).await;
            assert_eq!(codes(&response), [FORBIDDEN], "{query}");
            assert_eq!(response.data.to_string(), data, "{query}");
            let admins = graph.execute(Request::new(&query).data(world.context(Role::Admin))).await;
            assert!(!codes(&admins).contains(&FORBIDDEN.to_owned()), "{query}");
        }
    }
}

#[tokio::test]
async fn nobody_but_admins_listens_to_jobs() {
    let world = World::new().await;
    for (role, hears) in [(Role::Moderator, false), (Role::Admin, true)] {
        let stage = Arc::new(Stage::Begins(OnceLock::new()));
        let request = Request::new(format!("{{ jobProgress(id: \"{ID}\") {{ id }} }}"));
        let response = subscriptions().execute(request.data(world.context(role)).data(stage.clone())).await;
        let Stage::Begins(heard) = &*stage else { unreachable!("a stage stays what it is") };
        assert_eq!(heard.get().is_some(), hears);
        assert_eq!(codes(&response) == [FORBIDDEN], !hears, "{:?}", response.errors);
        assert_eq!(response.data, Value::Null);
    }
}
