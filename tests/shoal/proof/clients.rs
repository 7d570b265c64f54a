//! Those who read and write at the same time, and note what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value as Json;

use super::deeds::{Deed, statement};
use super::history::{Clock, Micros, Read, Wrote};
use super::rig::Rig;
use super::shapes::{COURIER, Shape, WHOLE};
use super::world::{Register, Value};

/// How many there are.
const CLIENTS: usize = 32;
/// Of a hundred requests of a client so many are writes.
const WRITES: u8 = 5;
/// How long a client thinks, at most.
const THINKS: Duration = Duration::from_millis(30);
/// The pause between two statements of somebody with psql.
const PSQL: Duration = Duration::from_millis(25);

/// What all clients of a run share.
pub struct Shared {
    pub clock: Clock,
    pub seed: u64,
    pub stop: AtomicBool,
    reads: Mutex<Vec<Read>>,
    writes: Mutex<Vec<Wrote>>,
    calls: Mutex<Vec<Call>>,
    /// How long it took until a write was shown by another instance.
    crossings: Mutex<Vec<(Micros, Micros)>>,
}

/// Of what was said, in all runs: what was said before would change nothing.
static NUMBERS: AtomicUsize = AtomicUsize::new(0);

/// A request, for figures.
#[derive(Clone, Debug)]
pub struct Call {
    pub invoked: Micros,
    pub returned: Micros,
    pub is_write: bool,
    /// The code of its error, if it had one.
    pub code: Option<String>,
}

/// What was noted.
pub struct Noted {
    pub reads: Vec<Read>,
    pub writes: Vec<Wrote>,
    pub calls: Vec<Call>,
    pub crossings: Vec<(Micros, Micros)>,
}

/// One client.
struct Client {
    number: usize,
    keeps_token: bool,
    token: Option<String>,
    /// The number of its last write.
    done: Option<usize>,
    /// Posts that only it knows.
    own: Vec<i64>,
    rng: fastrand::Rng,
    http: reqwest::Client,
}

/// An answer.
struct Answer {
    invoked: Micros,
    returned: Micros,
    json: Json,
    token: Option<String>,
}

impl Shared {
    pub fn new(clock: Clock, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            clock,
            seed,
            stop: AtomicBool::new(false),
            reads: Mutex::default(),
            writes: Mutex::default(),
            calls: Mutex::default(),
            crossings: Mutex::default(),
        })
    }

    pub fn take(&self) -> Noted {
        Noted {
            reads: std::mem::take(&mut self.reads.lock().unwrap()),
            writes: std::mem::take(&mut self.writes.lock().unwrap()),
            calls: std::mem::take(&mut self.calls.lock().unwrap()),
            crossings: std::mem::take(&mut self.crossings.lock().unwrap()),
        }
    }

    fn runs(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// What nobody has said before, in any run.
    fn unique(&self) -> String {
        format!("{:x} {}", self.seed & 0xffff_ffff, NUMBERS.fetch_add(1, Ordering::Relaxed))
    }
}

/// All clients, until all stop.
pub async fn all(rig: &Rig, shared: &Shared) {
    join_all((0..CLIENTS).map(|number| client(rig, shared, number))).await;
}

/// A client that asks and writes until all stop. Every other one keeps its tokens.
async fn client(rig: &Rig, shared: &Shared, number: usize) {
    let rng = fastrand::Rng::with_seed(shared.seed ^ (number as u64) << 32);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(3)).build().unwrap();
    let keeps_token = number.is_multiple_of(2);
    let mut client = Client { number, keeps_token, token: None, done: None, own: Vec::new(), rng, http };
    while shared.runs() {
        if client.rng.u8(0..100) < WRITES {
            client.write(rig, shared).await;
        } else {
            let shape = match client.own.last() {
                Some(post) if client.rng.u8(0..20) == 0 => Shape::Post(*post),
                _ => Shape::any(&mut client.rng),
            };
            let instance = client.rng.usize(0..rig.instances.len());
            client.read(rig, shared, instance, &shape).await;
        }
        let thinks = THINKS.mul_f64(client.rng.f64());
        tokio::time::sleep(thinks).await;
    }
}

impl Client {
    async fn read(&mut self, rig: &Rig, shared: &Shared, instance: usize, shape: &Shape) {
        // Now and then a page that few have asked for: it is kept nowhere.
        let first = if self.rng.u8(0..8) == 0 { self.rng.usize(WHOLE) } else { *WHOLE.end() };
        let Some(answer) = self.send(rig, shared, instance, (&shape.body(first), false)).await else { return };
        let read = Read {
            client: self.number,
            instance,
            invoked: answer.invoked,
            returned: answer.returned,
            done: self.done,
            has_token: self.keeps_token,
            is_marked: answer.json["extensions"]["shoal"]["stale"] == true,
            seen: shape.seen(&answer.json["data"]),
        };
        shared.reads.lock().unwrap().push(read);
    }

    async fn write(&mut self, rig: &Rig, shared: &Shared) {
        let deed = Deed::any(&mut self.rng, &shared.unique(), &self.own);
        let instance = self.rng.usize(0..rig.instances.len());
        let Some(answer) = self.send(rig, shared, instance, (&deed.body(), true)).await else { return };
        let data = &answer.json["data"];
        let payload = data.as_object().and_then(|data| data.values().next());
        if payload.is_none_or(|payload| payload["userErrors"].as_array().is_none_or(|errors| !errors.is_empty())) {
            return;
        }
        self.token = answer.token.or_else(|| self.token.take());
        let Some(marker) = deed.marker(data) else { return };
        let wrote = Wrote {
            client: self.number,
            instance,
            invoked: answer.invoked,
            returned: answer.returned,
            marker: marker.clone(),
        };
        let shape = Shape::of(&marker.0);
        match (&deed, &shape) {
            (Deed::Write { .. }, Shape::Post(post)) => self.own.push(*post),
            (Deed::Delete { post }, _) => self.own.retain(|own| own != post),
            _ => {}
        }
        {
            let mut writes = shared.writes.lock().unwrap();
            self.done = Some(writes.len());
            writes.push(wrote);
        }
        // Right after it, and elsewhere.
        let elsewhere = (instance + 1) % rig.instances.len();
        self.read(rig, shared, elsewhere, &shape).await;
        if let (Deed::Write { .. }, Shape::Post(post)) = (deed, shape) {
            let publish = Deed::Publish { post };
            self.send(rig, shared, instance, (&publish.body(), true)).await;
        }
    }

    /// Asks an instance; none if there was no answer without errors.
    async fn send(
        &self,
        rig: &Rig,
        shared: &Shared,
        instance: usize,
        (body, is_write): (&Json, bool),
    ) -> Option<Answer> {
        let mut request = self.http.post(rig.instances[instance].url()).json(body);
        if let Some(token) = self.token.as_ref().filter(|_| self.keeps_token) {
            request = request.header("shoal-token", token);
        }
        let invoked = shared.clock.now();
        let answer = async {
            let response = request.send().await?;
            let token = response.headers().get("shoal-token").and_then(|token| Some(token.to_str().ok()?.to_owned()));
            Ok::<_, reqwest::Error>((token, response.json::<Json>().await?))
        };
        let answer = answer.await;
        let returned = shared.clock.now();
        let code = match &answer {
            Ok((_, json)) if json["errors"].is_null() => None,
            Ok((_, json)) => Some(json["errors"][0]["extensions"]["code"].as_str().unwrap_or("no code").to_owned()),
            Err(error) if error.is_timeout() => Some("no answer in time".to_owned()),
            Err(_) => Some("no answer".to_owned()),
        };
        let is_well = code.is_none();
        shared.calls.lock().unwrap().push(Call { invoked, returned, is_write, code });
        let (token, json) = answer.ok()?;
        is_well.then_some(Answer { invoked, returned, json, token })
    }
}

/// Writes to one instance, and asks another until that shows it; again and again. Nobody else writes what it does.
pub async fn courier(rig: &Rig, shared: &Shared) {
    let rng = fastrand::Rng::with_seed(shared.seed);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(1)).build().unwrap();
    let courier =
        Client { number: usize::MAX, keeps_token: false, token: None, done: None, own: Vec::new(), rng, http };
    let mut turn = 0;
    while shared.runs() {
        turn += 1;
        let (here, there) = (turn % rig.instances.len(), (turn + 1) % rig.instances.len());
        let name = format!("courier {}", shared.unique());
        let expected = (Register::UserName(COURIER), Value::Text(Some(name.clone())));
        let deed = Deed::Rename { user: COURIER, name };
        tokio::time::sleep(THINKS).await;
        let Some(written) = courier.send(rig, shared, here, (&deed.body(), true)).await else { continue };
        let shape = Shape::UserName(COURIER);
        while shared.runs() {
            let Some(answer) = courier.send(rig, shared, there, (&shape.body(*WHOLE.end()), false)).await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            if shape.seen(&answer.json["data"]).contains(&expected) {
                let crossing = answer.returned - written.returned;
                shared.crossings.lock().unwrap().push((written.returned, crossing));
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Somebody who writes with psql.
pub async fn psql(rig: &Rig, shared: &Shared) {
    let mut rng = fastrand::Rng::with_seed(!shared.seed);
    let mut connection = None;
    while shared.runs() {
        let Some(open) = &mut connection else {
            connection = rig.primary().try_connect(rig.database.name()).await.ok();
            tokio::time::sleep(PSQL).await;
            continue;
        };
        let sql = statement(&mut rng, &shared.unique());
        match sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(open).await {
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(_) => connection = None,
        }
        tokio::time::sleep(PSQL).await;
    }
}
