//! Loaders written for `async_graphql::dataloader::DataLoader` plug in unchanged.

use std::future::ready;
use std::time::Duration;

use async_graphql::dataloader::DataLoader;
use async_graphql::runtime::Timer;
use futures_util::future::{FutureObj, join_all};
use futures_util::task::{Spawn, SpawnError};

use super::*;

/// As its readme shows them: the names of planets by number, and their numbers by name.
struct Planets {
    names: [&'static str; 3],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TooFar(i32);

impl Loader<i32> for Planets {
    type Value = String;
    type Error = TooFar;

    async fn load(&self, keys: &[i32]) -> Result<HashMap<i32, String>, TooFar> {
        if let Some(key) = keys.iter().find(|key| **key > 8) {
            return Err(TooFar(*key));
        }
        let name = |key: &i32| Some((*key, (*self.names.get(usize::try_from(*key).ok()?)?).to_owned()));
        Ok(keys.iter().filter_map(name).collect())
    }
}

impl Loader<String> for Planets {
    type Value = usize;
    type Error = Arc<str>;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, usize>, Arc<str>> {
        let number = |key: &String| Some((key.clone(), self.names.iter().position(|name| name == key)?));
        Ok(keys.iter().filter_map(number).collect())
    }
}

/// What async-graphql offers with its feature `tokio`.
struct OnTokio;

impl Spawn for OnTokio {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        tokio::spawn(future);
        Ok(())
    }
}

impl Timer for OnTokio {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

fn planets() -> Planets {
    Planets { names: ["Mercury", "Venus", "Earth"] }
}

#[tokio::test]
async fn a_loader_gives_what_the_ecosystems_dispatcher_gives() {
    let theirs = DataLoader::new(planets(), OnTokio, OnTokio);
    let (ours, loaders) = (Arc::new(planets()), Loaders::default());
    for keys in [vec![0, 1, 2], vec![2, 2, 7, -1], vec![1, 9]] {
        let expected = join_all(keys.iter().map(|key| theirs.load_one(*key))).await;
        let expected: Vec<_> = expected.into_iter().map(|answer| answer.map_err(LoadError::Loader)).collect();
        // Loaders of their own: DataLoader remembers nothing, and so loads again what failed or was known.
        let loaders = Loaders::default();
        let answers = loaders.drive(join_all(keys.iter().map(async |key| loaders.load(&ours, *key).await))).await;
        assert_eq!(answers, expected);
    }
    for name in ["Earth", "Pluto"] {
        let expected = theirs.load_one(name.to_owned()).await.map_err(LoadError::Loader);
        assert_eq!(loaders.drive(loaders.load(&ours, name.to_owned())).await, expected);
    }
}

#[test]
fn one_loader_serves_several_types_of_keys() {
    let (planets, loaders) = (Arc::new(planets()), Loaders::default());
    let answers = at_once(loaders.drive(async {
        let name = async { loaders.load(&planets, 2).await.unwrap().unwrap() };
        let number = async { loaders.load(&planets, "Venus".to_owned()).await.unwrap().unwrap() };
        futures_util::future::join(name, number).await
    }));
    assert_eq!(answers, ("Earth".to_owned(), 1));
}
