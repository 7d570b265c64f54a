//! nginx with a configuration that is shipped, of which only addresses and paths are changed.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{eventually, free_port};

/// Whom nginx runs as where the tests run as root.
const NOBODY: u32 = 65534;

/// A running nginx. It ends when this is dropped.
pub struct Nginx {
    child: Child,
    dir: TempDir,
    port: u16,
}

/// nginx may be where only root looks for programs.
fn program() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

impl Nginx {
    /// Starts it before instances at these ports.
    pub async fn start(variant: &str, ports: &[u16; 2]) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().display().to_string();
        let port = free_port();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx");
        for (from, to) in [("nginx", "nginx"), ("proxy", "proxy"), (variant, "upstream")] {
            let text = std::fs::read_to_string(shipped.join(format!("{from}.conf"))).unwrap();
            let text = text
                .replace("/tmp/", &format!("{path}/"))
                .replace("/dev/stdout", &format!("{path}/access.log"))
                .replace("error_log stderr", &format!("error_log {path}/error.log"))
                .replace("listen 8080;", &format!("listen 127.0.0.1:{port};"))
                .replace("shoal-1:8000", &format!("127.0.0.1:{}", ports[0]))
                .replace("shoal-2:8000", &format!("127.0.0.1:{}", ports[1]));
            std::fs::write(dir.path().join(format!("{to}.conf")), text).unwrap();
        }
        let nginx = |more: &[&str]| {
            let mut command = Command::new(program());
            command.arg("-e").arg(dir.path().join("error.log")).arg("-c").arg(dir.path().join("nginx.conf")).args(more);
            if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
                command.uid(NOBODY).gid(NOBODY);
                chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            command
        };
        let tried = nginx(&["-t"]).output().expect("nginx is installed: ./test does that");
        let said = String::from_utf8_lossy(&tried.stderr);
        assert!(tried.status.success() && !said.contains("[warn]"), "{said}");
        let child = nginx(&["-g", "daemon off;"]).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, dir, port };
        eventually("nginx", async || reqwest::get(nginx.url("/livez")).await.is_ok()).await;
        nginx
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it has logged of each request.
    pub fn log(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    /// How many requests it has sent to another instance after the first.
    pub fn retries(&self) -> usize {
        self.log().iter().filter(|entry| entry["instances"].as_str().unwrap().contains(", ")).count()
    }

    /// How many requests of each client each instance was sent first, once these many have been logged.
    pub async fn by_client(&self, all: usize) -> HashMap<String, HashMap<String, usize>> {
        let is_of_graph = |entry: &Value| entry["request"].as_str().unwrap().contains("/graphql");
        eventually("requests to be logged", async || {
            self.log().iter().filter(|entry| is_of_graph(entry)).count() == all
        })
        .await;
        let mut found: HashMap<_, HashMap<_, usize>> = HashMap::new();
        for entry in self.log().iter().filter(|entry| is_of_graph(entry)) {
            let text = |name: &str| entry[name].as_str().unwrap().split(", ").next().unwrap().to_owned();
            *found.entry(text("client")).or_default().entry(text("instances")).or_default() += 1;
        }
        found
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for file in ["access.log", "error.log"] {
                let log = std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
                // Of what is said again and again the rest tells more.
                let lines: Vec<_> = log.lines().filter(|line| !line.contains("no live upstreams")).collect();
                eprintln!("the end of {file}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
        // Its workers end with it only if it is asked.
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
