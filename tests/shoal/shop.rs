//! Any sequence of mutations leaves the shop as a plain model of it says, and is answered as it says.
//!
//! The model knows the rules from their description, holds everything in vectors, and shares no code with the product.

pub mod model;
mod objects;
mod plan;

use std::hash::{BuildHasher, RandomState};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::mutations::mutation;
use crate::support::{Backend, TestApp};
use model::{Expect, Model};

crate::on_both!(any_sequence_of_mutations);

/// What is to be done: which mutation, with which of what there is. Numbers that fit anything, so that shrinking works.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub mutation: u8,
    pub of: u8,
    pub with: u8,
    pub value: u8,
    /// Makes an input wrong, or stale; most values do not.
    pub twist: u8,
    pub key: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..24_u8, any::<u8>(), any::<u8>(), any::<u8>(), 0..24_u8, 0..12_u8);
    vec(step.prop_map(|(mutation, of, with, value, twist, key)| Step { mutation, of, with, value, twist, key }), 1..80)
}

#[allow(clippy::disallowed_methods)]
async fn any_sequence_of_mutations(backend: Backend) {
    let app = TestApp::empty(backend).await;
    let given = std::env::var("SHOAL_TEST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
        let config = Config { failure_persistence: None, max_shrink_iters: 300, ..Config::with_cases(32) };
        let case = std::cell::Cell::new(0);
        TestRunner::new_with_rng(config, random).run(&steps(), |steps| {
            // Names of its own: what earlier sequences left does not matter.
            case.set(case.get() + 1);
            runtime.block_on(follow(&app, Model::new(case.get()), &steps))
        })
    };
    if let Err(failure) = tokio::task::spawn_blocking(run).await.unwrap() {
        panic!("with SHOAL_TEST_SEED={seed}: {failure}");
    }
}

async fn follow(app: &TestApp, mut model: Model, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut story = Vec::new();
    for step in steps {
        let Some(plan) = model.plan(*step) else { continue };
        let body = json!({ "query": mutation(plan.name, plan.selection), "variables": { "input": plan.input } });
        let answer = app.ask(&body).await.json;
        story.push(format!("{} {} = {answer}", plan.name, plan.input));
        let payload = &answer["data"][plan.name];
        let story = || story.join("\n");
        match &plan.expect {
            Expect::Error(code) => {
                prop_assert_eq!(&answer["errors"][0]["extensions"]["code"], code, "{}", story());
            }
            Expect::Payload(expected) => {
                prop_assert!(answer.get("errors").is_none(), "{}", story());
                prop_assert!(covers(payload, expected), "expected {}:\n{}", expected, story());
            }
            Expect::Again(before) => prop_assert_eq!(payload, before, "{}", story()),
        }
        model.learn(plan, payload);
    }
    for (id, expected) in model.objects() {
        let data =
            app.ask_with(&json!({ "query": objects::QUERY, "variables": { "id": id } }), objects::FRESH).await.json;
        let found = &data["data"]["node"];
        prop_assert!(covers(found, &expected), "{} is {}, not {}:\n{}", id, data, expected, story.join("\n"));
    }
    Ok(())
}

/// Whether a value has everything that is expected of it: of objects only the fields that are named.
fn covers(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| covers(found, value)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| covers(found, expected))
        }
        _ => found == expected,
    }
}
