//! What operators do with jobs by hand, and what they are told.

use std::fmt::Write;

use entity::job::{self, State};

use super::{lanes, purge, write};
use crate::data::write::Writes;
use crate::domain::job::operate::{AddJob, CancelJob, ListJobs, RetryJob, ShowJob, word};
use crate::domain::job::{Kind, Task};

const STATES: [State; 5] = [State::Queued, State::Running, State::Done, State::Dead, State::Cancelled];

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Order {
    /// The latest, at most so many.
    List {
        kind: Option<String>,
        state: Option<String>,
        limit: usize,
    },
    Show(i64),
    /// A task that stands by itself, by its name.
    Add(String),
    Retry(i64),
    Cancel(i64),
    /// Those that ended so many days ago.
    Purge(u32),
}

impl Order {
    /// Does it; what is to be said of it.
    ///
    /// # Errors
    /// With what is wrong with the order, or why it could not be done.
    pub async fn run(self, writes: &Writes) -> Result<String, String> {
        Ok(match self {
            Self::List { kind, state, limit } => {
                let kind = kind.map(|name| Kind::named(&name).ok_or_else(|| unknown("kind", &name, &lanes())));
                let state = state.map(|name| {
                    let found = STATES.into_iter().find(|state| word(*state) == name);
                    found.ok_or_else(|| unknown("state", &name, &STATES.map(word)))
                });
                table(&write(writes, ListJobs { kind: kind.transpose()?, state: state.transpose()?, limit }).await?)
            }
            Self::Show(id) => match write(writes, ShowJob { id }).await? {
                Some(job) => serde_json::to_string_pretty(&job).map_err(|error| error.to_string())? + "\n",
                None => return Err("there is no such Job".to_owned()),
            },
            Self::Add(name) => {
                let task = match name.as_str() {
                    "retention" => Task::Retention,
                    _ => return Err(unknown("task", &name, &["retention"])),
                };
                match write(writes, AddJob { task }).await? {
                    Some(job) => line(&job),
                    None => "it waits or runs already\n".to_owned(),
                }
            }
            Self::Retry(id) => line(&write(writes, RetryJob { id }).await?),
            Self::Cancel(id) => line(&write(writes, CancelJob { id }).await?),
            Self::Purge(days) => {
                let older_than_ms = u64::from(days) * 86_400_000;
                let removed =
                    purge(writes.into(), &[State::Done, State::Dead, State::Cancelled], older_than_ms).await?;
                format!("removed {removed}\n")
            }
        })
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    format!("there is no {what} {name}: there are {}", known.join(", "))
}

fn table(jobs: &[job::Model]) -> String {
    let mut text = format!("{:>10}  {:<10} {:<10} {:>8}  {:<20}  error\n", "id", "kind", "state", "attempt", "due");
    jobs.iter().for_each(|job| text.push_str(&line(job)));
    text
}

fn line(job: &job::Model) -> String {
    let mut line = String::new();
    let (due, error) = (job.due_at.format("%Y-%m-%dT%H:%M:%SZ"), job.error.as_deref().unwrap_or_default());
    let attempt = format!("{}/{}", job.attempt, job.max_attempts);
    // Writing to a String cannot fail.
    let _ = write!(line, "{:>10}  {:<10} {:<10} {attempt:>8}  {due:<20}  {error}", job.id, job.kind, word(job.state));
    format!("{}\n", line.trim_end())
}
