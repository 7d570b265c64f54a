//! What differs between two sets of settings, and what of it may change while a process runs.

use std::collections::BTreeMap;

use super::Config;
use crate::data::secret::{Secret, SecretUrl};

/// A setting that differs, as it may be logged.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub name: String,
    pub old: String,
    pub new: String,
}

impl Config {
    /// These settings with the log's filter of others.
    pub fn with_log_of(&self, other: &Self) -> Self {
        let mut next = self.clone();
        next.log.filter.clone_from(&other.log.filter);
        next
    }

    /// The same, and with their limits and times to live.
    pub fn with_limits_of(&self, other: &Self) -> Self {
        let mut next = self.with_log_of(other);
        (next.rate, next.admission) = (other.rate.clone(), other.admission.clone());
        next.graphql = other.graphql.clone();
        // It is part of the schema.
        next.graphql.suggestions = self.graphql.suggestions;
        next.http.cache = other.http.cache;
        next.cache.ttl_s = other.cache.ttl_s;
        for name in self.cache.resources.keys().chain(other.cache.resources.keys()) {
            let ttl_s = other.cache.resources.get(name).and_then(|own| own.ttl_s);
            next.cache.resources.entry(name.clone()).or_default().ttl_s = ttl_s;
        }
        next.cache.resources.retain(|_, own| *own != Default::default());
        next
    }

    /// What differs in others; of a secret only that it does.
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let (old, new) = (self.flat(), other.flat());
        let shown = |settings: &BTreeMap<String, String>, name: &str| {
            settings.get(name).cloned().unwrap_or_else(|| "not set".to_owned())
        };
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
        let change = |name: &str| Change { name: name.to_owned(), old: shown(&old, name), new: shown(&new, name) };
        let mut changes: Vec<_> = differ.map(|name| change(name)).collect();
        for ((name, old), (_, new)) in self.secrets().into_iter().zip(other.secrets()) {
            if old != new && changes.iter().all(|change| change.name != name) {
                changes.push(change(name));
            }
        }
        changes
    }

    /// All settings by their names, as they may be shown.
    fn flat(&self) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        let table = toml::Table::try_from(self).expect("settings are plain values");
        flatten("", &table, &mut flat);
        flat
    }

    /// What is masked where it is shown.
    fn secrets(&self) -> [(&'static str, Vec<String>); 6] {
        let url = |url: &SecretUrl| url.expose().to_string();
        let urls = |found: &Option<SecretUrl>| found.iter().map(url).collect();
        let texts = |found: &Option<Secret>| found.iter().map(|text| text.expose().to_owned()).collect();
        [
            ("database.url", urls(&self.database.url)),
            ("database.replicas", self.database.replicas.iter().map(url).collect()),
            ("redis.url", urls(&self.redis.url)),
            ("token.key", texts(&self.token.key)),
            ("token.previous_key", texts(&self.token.previous_key)),
            ("mail.smtp_url", urls(&self.mail.smtp_url)),
        ]
    }
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, flat),
            toml::Value::String(text) => {
                flat.insert(format!("{prefix}{name}"), text.clone());
            }
            other => {
                flat.insert(format!("{prefix}{name}"), other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::cache::ResourceSettings;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    fn names(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.name.as_str()).collect()
    }

    #[test]
    fn of_secrets_only_that_they_differ_is_told() {
        let with = |url: &str| config(|config| config.redis.url = Some(url.parse().unwrap()));
        let (one, other) = (with("redis://:hunter2@host/"), with("redis://:hunter3@host/"));
        let changes = one.changes(&other);
        assert_eq!(names(&changes), ["redis.url"]);
        assert_eq!((changes[0].old.as_str(), changes[0].new.as_str()), ("redis://:***@host/", "redis://:***@host/"));
        assert_eq!(one.changes(&one.clone()), []);
        assert_eq!(names(&one.changes(&Config::default())), ["redis.url"]);
    }

    #[test]
    fn limits_and_times_change_and_what_else_is_wanted_is_left() {
        let running = config(|config| {
            config.cache.resources.insert("tags".to_owned(), ResourceSettings { ttl_s: Some(1), ..Default::default() });
            config.cache.resources.insert("orders".to_owned(), ResourceSettings { off: true, ..Default::default() });
        });
        let wanted = config(|config| {
            config.log.filter = "debug".to_owned();
            (config.rate.burst, config.admission.waiting, config.graphql.limits.depth) = (1, 2, 3);
            config.graphql.suggestions = true;
            (config.cache.ttl_s, config.http.cache.max_age_s) = (4, 5);
            config
                .cache
                .resources
                .insert("posts".to_owned(), ResourceSettings { ttl_s: Some(6), ..Default::default() });
            config.http.max_connections = 7;
        });
        let next = running.with_limits_of(&wanted);
        assert_eq!(
            names(&running.changes(&next)),
            [
                "admission.waiting",
                "cache.resources.posts.ttl_s",
                "cache.resources.tags.ttl_s",
                "cache.ttl_s",
                "graphql.limits.depth",
                "http.cache.max_age_s",
                "log.filter",
                "rate.burst"
            ]
        );
        assert_eq!(
            names(&next.changes(&wanted)),
            ["cache.resources.orders.off", "graphql.suggestions", "http.max_connections"]
        );
        assert_eq!(names(&running.changes(&running.with_log_of(&wanted))), ["log.filter"]);
    }
}
