//! Jobs that come round: each time of a schedule is met once, by whichever worker comes first.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use croner::Cron;

use super::Settings;
use crate::domain::job::Task;

/// A time that was missed for longer is not made up for.
const CATCH_UP: TimeDelta = TimeDelta::hours(1);

/// What comes round, and when.
pub struct Schedules(Vec<Schedule>);

struct Schedule {
    cron: Cron,
    task: Task,
    /// The time that this worker has seen to.
    seen: Option<DateTime<Utc>>,
}

impl Schedules {
    /// # Errors
    /// For a time that is none; the text names the setting.
    pub fn of(settings: &Settings) -> Result<Self, String> {
        let cron = Cron::from_str(&settings.retention).map_err(|error| format!("jobs.retention: {error}"))?;
        Ok(Self(vec![Schedule { cron, task: Task::Retention, seen: None }]))
    }

    /// What is to be added now, and for which time.
    pub fn due(&mut self, now: DateTime<Utc>) -> Vec<(Task, DateTime<Utc>)> {
        let due = |schedule: &mut Schedule| {
            let latest = schedule.cron.find_previous_occurrence(&now, true).ok()?;
            let is_new = schedule.seen != Some(latest) && now - latest < CATCH_UP;
            is_new.then(|| (schedule.task.clone(), latest))
        };
        self.0.iter_mut().filter_map(due).collect()
    }

    /// A time has been seen to.
    pub fn met(&mut self, task: &Task, at: DateTime<Utc>) {
        self.0.iter_mut().filter(|schedule| schedule.task == *task).for_each(|schedule| schedule.seen = Some(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_due_once_and_not_for_long() {
        let mut schedules = Schedules::of(&Settings::default()).unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(schedules.due(at("2026-11-27T03:16:59Z")), []);
        let slot = at("2026-11-27T03:17:00Z");
        for now in ["2026-11-27T03:17:00Z", "2026-11-27T03:59:00Z"] {
            assert_eq!(schedules.due(at(now)), [(Task::Retention, slot)]);
        }
        schedules.met(&Task::Retention, slot);
        assert_eq!(schedules.due(at("2026-11-27T03:59:00Z")), []);
        assert_eq!(schedules.due(at("2026-11-28T03:17:30Z")), [(Task::Retention, at("2026-11-28T03:17:00Z"))]);
        assert_eq!(schedules.due(at("2026-11-28T04:17:30Z")), [], "that is too long ago");
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        let settings = Settings { retention: "at tea time".to_owned(), ..Settings::default() };
        assert!(Schedules::of(&settings).err().unwrap().starts_with("jobs.retention: "));
    }
}
