//! The commands of images, manifests and units: the same arguments and environment, with only addresses and paths changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_yaml_ng::Value;
use tempfile::TempDir;

use super::{compose, path, text, yaml};
use crate::support::{Backend, Database, eventually, free_port};

/// What stands in for the host: secrets, ports and a directory to write to.
struct Host {
    dir: TempDir,
    http: u16,
    probes: u16,
}

/// A process; killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Host {
    fn new(database: &Database) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, value) in database.environment() {
            std::fs::write(dir.path().join(name.to_lowercase().as_str()), format!("{value}\n")).unwrap();
        }
        std::fs::write(dir.path().join("token_key"), "a key of all instances\n").unwrap();
        Self { dir, http: free_port(), probes: free_port() }
    }

    /// A path, or an address, as it is here.
    fn here(&self, value: &str) -> String {
        let dir = self.dir.path().display().to_string();
        let value = ["/run/secrets/shoal", "/run/secrets", "%d", "/data", "/var/lib/shoal-worker", "/var/lib/shoal"]
            .iter()
            .find_map(|prefix| value.strip_prefix(prefix).map(|rest| format!("{dir}{rest}")))
            .unwrap_or_else(|| value.to_owned());
        match value.rsplit_once(':') {
            Some((host, "8000")) => format!("{host}:{}", self.http),
            Some((host, "9000")) => format!("{host}:{}", self.probes),
            _ => value,
        }
    }

    fn command(&self, arguments: &[String], environment: &BTreeMap<String, String>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
        command.env_clear().current_dir(self.dir.path());
        // Of what tests have together.
        command.env("SHOAL_JOBS__RETENTION", "0 0 29 2 *").env("NO_COLOR", "1");
        for argument in arguments {
            command.arg(argument.replace("/etc/shoal", &path("kubernetes").display().to_string()));
        }
        command.envs(environment.iter().map(|(name, value)| (name, self.here(value))));
        command
    }

    fn start(&self, arguments: &[String], environment: &BTreeMap<String, String>) -> Running {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        Running(self.command(arguments, environment).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn succeeds(&self, arguments: &[String], environment: &BTreeMap<String, String>) -> bool {
        self.command(arguments, environment).output().unwrap().status.success()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    async fn answers(&self, port: u16, path: &str) {
        eventually(path, async || {
            let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}")).await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }
}

fn strings(list: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).unwrap().trim().to_owned(),
    };
    list.as_sequence().unwrap_or_else(|| panic!("no list: {list:?}")).iter().map(text).collect()
}

/// What an instruction of the Dockerfile says, the last of its name.
fn instruction(name: &str) -> String {
    let file = text("Dockerfile");
    let line = file.lines().rfind(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}"));
    line[name.len() + 1..].to_owned()
}

/// A command in the form of a list.
fn exec(instruction: &str) -> Vec<String> {
    serde_json::from_str(&instruction[instruction.find('[').unwrap()..]).unwrap()
}

/// The environment of the image.
fn of_image() -> BTreeMap<String, String> {
    let pairs = instruction("ENV");
    pairs
        .split(' ')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// The arguments of a command of the image, which is all behind its name.
fn behind_shoal(command: &[String]) -> Vec<String> {
    assert_eq!(command[0], "shoal");
    command[1..].to_vec()
}

#[tokio::test]
async fn the_image_and_the_compose_file_run() {
    let database = Database::empty(Backend::Postgres).await;
    let (host, compose) = (Host::new(&database), compose());
    assert_eq!(
        (exec(&instruction("ENTRYPOINT")), exec(&instruction("CMD"))),
        (vec!["shoal".to_owned()], vec!["serve".to_owned()])
    );
    let healthy = behind_shoal(&exec(&instruction("HEALTHCHECK")));
    let environment = |service: &str| {
        let mut environment = of_image();
        for (name, value) in compose["services"][service]["environment"].as_mapping().unwrap() {
            environment.insert(name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned());
        }
        environment
    };
    // The image alone would let anybody in.
    let mut alone = host.command(&["serve".to_owned()], &of_image());
    let refused = alone.env("DATABASE_URL", "").output().unwrap();
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("anybody_is_admin"),
        "{refused:?}"
    );

    assert!(host.succeeds(&strings(&compose["services"]["migrate"]["command"]), &environment("migrate")));
    let instance = environment("shoal-1");
    let serving = host.start(&exec(&instruction("CMD")), &instance);
    eventually("a healthy instance", async || host.succeeds(&healthy, &instance)).await;
    assert!(host.log().starts_with('{'), "JSON: {}", host.log());
    drop(serving);
    assert!(!host.succeeds(&healthy, &instance));

    let worker = &compose["services"]["worker"];
    let _working = host.start(&strings(&worker["command"]), &environment("worker"));
    let healthy = strings(&worker["healthcheck"]["test"]);
    assert_eq!(healthy[0], "CMD");
    let healthy = behind_shoal(&healthy[1..]);
    eventually("a healthy worker", async || host.succeeds(&healthy, &environment("worker"))).await;
}

#[tokio::test]
async fn the_manifests_run() {
    let database = Database::empty(Backend::Postgres).await;
    for (file, port) in [("serve", 8000), ("worker", 9000)] {
        let host = Host::new(&database);
        let pod = yaml(&format!("kubernetes/{file}.yaml"))[0]["spec"]["template"]["spec"].clone();
        let environment = |container: &Value| {
            let mut environment = of_image();
            for variable in container["env"].as_sequence().unwrap() {
                let text = |key: &str| variable[key].as_str().unwrap().to_owned();
                environment.insert(text("name"), text("value"));
            }
            // Stronger than what shoal.toml says.
            environment.insert("SHOAL_JOBS__PROBES".to_owned(), "0.0.0.0:9000".to_owned());
            environment
        };
        for container in pod["initContainers"].as_sequence().into_iter().flatten() {
            assert!(host.succeeds(&strings(&container["args"]), &environment(container)), "{container:?}");
        }
        let container = &pod["containers"][0];
        let _running = host.start(&strings(&container["args"]), &environment(container));
        let port = if port == 8000 { host.http } else { host.probes };
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            host.answers(port, container[probe]["httpGet"]["path"].as_str().unwrap()).await;
        }
        host.answers(port, "/metrics").await;
    }
}

#[tokio::test]
async fn the_units_run() {
    let database = Database::empty(Backend::Postgres).await;
    for (unit, is_worker) in [("shoal", false), ("shoal-worker", true)] {
        let host = Host::new(&database);
        let text = text(&format!("systemd/{unit}.service"));
        let values = |key: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned).collect()
        };
        let environment: BTreeMap<_, _> = values("Environment")
            .iter()
            .map(|pair| pair.trim_matches('"').replace("\\\"", "\""))
            .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
            .collect();
        for credential in values("LoadCredential") {
            let (name, file) = credential.split_once(':').unwrap();
            assert_eq!(file, format!("/etc/shoal/secrets/{name}"));
            assert!(environment.values().any(|value| *value == format!("%d/{name}")), "{unit}: nothing reads {name}");
        }
        let started = values("ExecStart");
        let arguments: Vec<_> = started[0].split(' ').skip(1).map(str::to_owned).collect();
        let mut running = host.start(&arguments, &environment);
        host.answers(if is_worker { host.probes } else { host.http }, "/readyz").await;
        // Its reload.
        assert_eq!(values("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
        let signal = |name: &str| {
            let process = running.0.id().to_string();
            assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
        };
        signal("HUP");
        eventually("a reload", async || host.log().contains("the settings were read again")).await;
        signal("TERM");
        assert!(running.0.wait().unwrap().success(), "{}", host.log());
        if Path::new("/usr/bin/systemd-analyze").exists() {
            let here = host.dir.path().join(format!("{unit}.service"));
            std::fs::write(&here, text.replace("/usr/local/bin/shoal", env!("CARGO_BIN_EXE_shoal"))).unwrap();
            let verified = Command::new("systemd-analyze").arg("verify").arg(&here).output().unwrap();
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(verified.status.success() && said.is_empty(), "{said}");
        }
    }
}
