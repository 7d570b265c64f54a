//! What the environment sets, itself or by files that it names.
//!
//! `NAME_FILE` is the path of a file with what would else be in `NAME`: how Docker and Kubernetes hand out secrets, which do not
//! show in a list of processes or containers then.

use std::path::PathBuf;

use figment::providers::Env;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider, util};

const PREFIX: &str = "SHOAL_";
const FILE: &str = "_FILE";
/// Variables with names of their own, and their settings.
const NAMED: [(&str, &str); 6] = [
    ("SHOAL_LISTEN", "http.listen"),
    ("SHOAL_DATA_DIR", "database.data_dir"),
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint"),
    (REPLICAS, "database.replicas"),
];
/// One that is a list.
const REPLICAS: &str = "REPLICA_URLS";

/// A setting whose value stands somewhere.
struct Found {
    origin: String,
    key: String,
    value: Value,
}

/// The settings with what the environment says.
///
/// # Errors
/// When a file cannot be read, or a setting is there twice: the text names the variable.
pub fn merge(mut figment: Figment) -> Result<Figment, Box<Error>> {
    // SHOAL_GRAPHQL__PAGE_SIZE is graphql.page_size.
    let is_setting = |name: &str| name.contains("__") && !name.to_ascii_uppercase().ends_with(FILE);
    figment = figment.merge(Env::prefixed(PREFIX).filter(move |name| is_setting(name.as_str())).split("__"));
    for (name, path) in files() {
        let Some(setting) = name.strip_prefix(PREFIX).filter(|setting| setting.contains("__")) else { continue };
        let key = setting.replace("__", ".").to_ascii_lowercase();
        figment = figment.merge(in_file(&name, path, key)?);
    }
    for (name, key) in NAMED {
        let file = files().into_iter().find(|(found, _)| found == name);
        let found = match (variable(name), file) {
            (None, None) => continue,
            (Some(text), None) => {
                Found { origin: format!("environment variable {name}"), key: key.into(), value: text.into() }
            }
            (_, Some((_, path))) => in_file(name, path, key.into())?,
        };
        figment = figment.merge(if name == REPLICAS { found.into_list() } else { found });
    }
    Ok(figment)
}

/// The environment variable `name`, as a setting that is a text.
#[cfg(feature = "fault-points")]
pub fn text(name: &str) -> Option<String> {
    variable(name)
}

fn in_file(name: &str, path: PathBuf, key: String) -> Result<Found, Box<Error>> {
    if variable(name).is_some() {
        return Err(Box::new(Error::from(format!("{name} and {name}{FILE} are both set"))));
    }
    let refused = |error| Error::from(format!("{name}{FILE}: cannot read {}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(refused)?;
    // Most editors, and `echo`, end a file with a line break that is not meant.
    let value = text.trim_end_matches(['\r', '\n']).to_owned().into();
    Ok(Found { origin: format!("file that {name}{FILE} names"), key, value })
}

impl Found {
    /// The value split at its commas.
    fn into_list(self) -> Self {
        let text = self.value.into_string().unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let value = Value::from(parts.map(Value::from).collect::<Vec<_>>());
        Self { value, ..self }
    }
}

impl Provider for Found {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = util::nest(&self.key, self.value.clone()).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(nested))
    }
}

/// The value of a variable; an empty one counts as not set.
#[allow(clippy::disallowed_methods)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables whose values are in files, and where those are.
#[allow(clippy::disallowed_methods)]
fn files() -> Vec<(String, PathBuf)> {
    let variables = std::env::vars_os().filter_map(|(name, path)| Some((name.into_string().ok()?, path)));
    let named = variables.filter_map(|(name, path)| Some((name.strip_suffix(FILE)?.to_owned(), path)));
    named.filter(|(_, path)| !path.is_empty()).map(|(name, path)| (name, path.into())).collect()
}
