//! How many requests are worth working on at once.

use std::time::{Duration, Instant};

/// How long answers are counted, at least, and how many.
const WINDOW: Duration = Duration::from_millis(100);
const ENOUGH: u32 = 30;
/// What is tried: a third more, or a quarter fewer.
const MORE: f64 = 4.0 / 3.0;
const FEWER: f64 = 3.0 / 4.0;
/// How many times as many answers more must bring, and fewer must leave. What a window counts differs by a tenth by itself.
const WORTH_MORE: f64 = 1.15;
const WORTH_FEWER: f64 = 0.9;
/// How many windows it rests when neither was better.
const REST: u32 = 5;

/// The fewest that answer as many as more would.
///
/// Up to some number in work, more of them are more answers for each second: one waits for a database, another is computed. Beyond it
/// they only take turns, and by Little's law each takes longer by as much as they are more. Where that knee is depends
/// on the processors, on how far and how busy the databases are, and on what is asked. So it is sought: now and then
/// some fewer, or more, are let in for a moment, and where that is better, it stays so. Only rates of neighbouring
/// windows are compared: whatever a server could do a minute ago is forgotten.
#[derive(Debug)]
pub struct Knee {
    most: usize,
    limit: usize,
    /// What is tried now, and next.
    trial: Option<Trial>,
    next: Trial,
    /// How many trials in a row were worth nothing.
    vain: u32,
    rest: u32,
    since: Instant,
    answers: u32,
    /// Answers per second with that limit, smoothed.
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trial {
    Fewer,
    More,
}

impl Knee {
    pub fn new(most: usize, now: Instant) -> Self {
        Self {
            most,
            limit: most,
            trial: None,
            next: Trial::Fewer,
            vain: 0,
            rest: 0,
            since: now,
            answers: 0,
            rate: None,
        }
    }

    /// How many may be in work.
    pub fn limit(&self) -> usize {
        self.trial.map_or(self.limit, |trial| self.of(trial))
    }

    fn of(&self, trial: Trial) -> usize {
        let scaled = |by: f64| (self.limit as f64 * by) as usize;
        match trial {
            Trial::Fewer => scaled(FEWER).min(self.limit - 1).max(1),
            Trial::More => scaled(MORE).max(self.limit + 1).min(self.most),
        }
    }

    /// One more was answered.
    pub fn answered(&mut self, now: Instant) {
        self.answers += 1;
        let time = now.saturating_duration_since(self.since);
        if time >= WINDOW && self.answers >= ENOUGH {
            self.learn(f64::from(self.answers) / time.as_secs_f64());
            (self.since, self.answers) = (now, 0);
        }
    }

    fn learn(&mut self, rate: f64) {
        let before = self.rate.unwrap_or(rate);
        let Some(trial) = self.trial.take() else {
            self.rate = Some((before + rate) / 2.0);
            match self.rest {
                0 => self.trial = Some(self.possible()),
                _ => self.rest -= 1,
            }
            return;
        };
        let (is_better, other) = match trial {
            Trial::Fewer => (rate >= before * WORTH_FEWER, Trial::More),
            Trial::More => (rate >= before * WORTH_MORE, Trial::Fewer),
        };
        if is_better {
            (self.limit, self.rate) = (self.of(trial), Some((before + rate) / 2.0));
            (self.next, self.vain) = (trial, 0);
        } else {
            (self.next, self.vain) = (other, self.vain + 1);
            self.rest = if self.vain < 2 { 0 } else { REST };
        }
    }

    fn possible(&self) -> Trial {
        match self.limit {
            1 => Trial::More,
            limit if limit == self.most => Trial::Fewer,
            _ => self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are in work on the average, some time after a server begins to answer so many per second with so many in work.
    fn found(knee: &mut Knee, now: &mut Instant, rate: impl Fn(usize) -> f64) -> f64 {
        let (start, mut noise, mut weighed, mut time) = (*now, 1.0, 0.0, 0.0);
        let mut random = fastrand::Rng::with_seed(1);
        while now.duration_since(start) < Duration::from_mins(1) {
            // A window may have a few more or less.
            if knee.answers == 0 {
                noise = 0.9 + 0.2 * random.f64();
            }
            let step = noise / rate(knee.limit());
            *now += Duration::from_secs_f64(step);
            if now.duration_since(start) > Duration::from_secs(20) {
                weighed += knee.limit() as f64 * step;
                time += step;
            }
            knee.answered(*now);
        }
        weighed / time
    }

    #[test]
    fn no_more_are_in_work_than_are_worth_it() {
        let mut now = Instant::now();
        let mut knee = Knee::new(64, now);
        // Some processors have enough with four, and are slower with many.
        let mean = found(&mut knee, &mut now, |limit| 500.0 * limit.min(4) as f64 * (1.0 - limit as f64 / 200.0));
        assert!((3.0..8.0).contains(&mean), "{mean}");
        // The database has moved far away: each in work is worth it.
        let mean = found(&mut knee, &mut now, |limit| 500.0 * limit as f64);
        assert!(mean > 45.0, "{mean}");
        let mean = found(&mut knee, &mut now, |limit| 500.0 * limit.min(16) as f64);
        assert!((12.0..30.0).contains(&mean), "{mean}");
    }

    #[test]
    fn one_may_be_enough() {
        let mut now = Instant::now();
        let mut knee = Knee::new(1, now);
        assert_eq!(found(&mut knee, &mut now, |_| 1000.0), 1.0);
        let mut knee = Knee::new(2, now);
        assert!(found(&mut knee, &mut now, |_| 1000.0) < 1.5);
    }
}
