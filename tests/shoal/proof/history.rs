//! What was done and seen, by a clock that all of it shares; kept in files.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::log::Told;
use super::world::{Register, Value, World};

/// Microseconds since the run began.
pub type Micros = u64;

/// The one clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> Micros {
        self.0.elapsed().as_micros() as Micros
    }
}

/// What a register held from a commit on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub position: u64,
    /// The commit was flushed after this, and the primary shows it since that.
    pub after: Micros,
    pub by: Micros,
    pub value: Value,
}

/// An answer, and who got it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    pub client: usize,
    pub instance: usize,
    pub invoked: Micros,
    pub returned: Micros,
    /// What its client had done: the number of its last write.
    pub done: Option<usize>,
    /// Whether it showed a token of that.
    pub has_token: bool,
    /// It says of itself that nobody knows how old it is.
    pub is_marked: bool,
    pub seen: Vec<(Register, Value)>,
}

/// A write that a client was told the success of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wrote {
    pub client: usize,
    pub instance: usize,
    pub invoked: Micros,
    pub returned: Micros,
    /// A value that nothing else wrote, by which its commit is found.
    pub marker: (Register, Value),
}

/// What was broken, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    pub fault: String,
    pub from: Micros,
    pub until: Micros,
}

/// Everything of one run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// How old an answer may be.
    pub bound: Micros,
    pub versions: HashMap<Register, Vec<Version>>,
    pub reads: Vec<Read>,
    pub writes: Vec<Wrote>,
    pub broken: Vec<Broken>,
}

/// A line of a file.
#[derive(Serialize, Deserialize)]
enum Line {
    Bound(Micros),
    Version(Register, Version),
    Read(Read),
    Wrote(Wrote),
    Broken(Broken),
}

impl History {
    /// What all registers held, from what there was at the beginning and each commit since.
    pub fn of(bound: Micros, mut world: World, told: &[Told]) -> (Self, World) {
        let mut history = Self { bound, ..Self::default() };
        let mut last = world.registers();
        for (register, value) in &last {
            let version = Version { position: 0, after: 0, by: 0, value: value.clone() };
            history.versions.insert(register.clone(), vec![version]);
        }
        for Told { commit, after, by, .. } in told {
            world.apply(commit);
            let now = world.registers();
            let gone = last.keys().filter(|register| !now.contains_key(register)).map(|it| (it, it.nothing()));
            let changed = now.iter().filter(|(register, value)| last.get(register) != Some(value));
            for (register, value) in gone.chain(changed.map(|(register, value)| (register, value.clone()))) {
                let nothing = || vec![Version { position: 0, after: 0, by: 0, value: register.nothing() }];
                let versions = history.versions.entry(register.clone()).or_insert_with(nothing);
                versions.push(Version { position: commit.position, after: *after, by: *by, value });
            }
            last = now;
        }
        (history, world)
    }

    /// What a register held, oldest first.
    pub fn versions(&self, register: &Register) -> std::borrow::Cow<'_, [Version]> {
        match self.versions.get(register) {
            Some(versions) => versions.into(),
            None => vec![Version { position: 0, after: 0, by: 0, value: register.nothing() }].into(),
        }
    }

    pub fn keep(&self, path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = zstd::Encoder::new(std::fs::File::create(path).unwrap(), 1).unwrap();
        let mut put = |line: &Line| {
            serde_json::to_writer(&mut file, line).unwrap();
            file.write_all(b"\n").unwrap();
        };
        put(&Line::Bound(self.bound));
        for (register, versions) in &self.versions {
            versions.iter().for_each(|version| put(&Line::Version(register.clone(), version.clone())));
        }
        self.reads.iter().for_each(|read| put(&Line::Read(read.clone())));
        self.writes.iter().for_each(|wrote| put(&Line::Wrote(wrote.clone())));
        self.broken.iter().for_each(|broken| put(&Line::Broken(broken.clone())));
        file.finish().unwrap();
    }

    pub fn load(path: &Path) -> Self {
        let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut history = Self::default();
        for line in BufReader::new(zstd::Decoder::new(file).unwrap()).lines() {
            match serde_json::from_str(&line.unwrap()).unwrap() {
                Line::Bound(bound) => history.bound = bound,
                Line::Version(register, version) => history.versions.entry(register).or_default().push(version),
                Line::Read(read) => history.reads.push(read),
                Line::Wrote(wrote) => history.writes.push(wrote),
                Line::Broken(broken) => history.broken.push(broken),
            }
        }
        history
    }
}
