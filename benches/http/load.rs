//! wrk, and what processes say of the CPU they used.

use std::path::Path;
use std::process::Command;

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub requests_per_second: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of CPU for each request: of the server, of PostgreSQL and Redis.
    pub server: f64,
    pub stores: f64,
    pub statements: f64,
}

impl Figures {
    pub fn cpu(&self) -> f64 {
        self.server + self.stores
    }
}

/// What wrk counted.
pub struct Counted {
    pub requests: f64,
    pub seconds: f64,
    pub p50: f64,
    pub p99: f64,
}

/// Connections that are kept busy.
pub const CONNECTIONS: u32 = 8;

/// Sends each line of a file as the body of a request, then begins again; tells what came of it.
const SCRIPT: &str = r#"
local bodies, at = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do bodies[#bodies + 1] = line end
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
end
function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("counted %d %d %f %f %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;

/// Installs wrk, where it is missing.
pub fn install() {
    let has_wrk = || Command::new("wrk").arg("-v").output().is_ok();
    if !has_wrk() {
        for arguments in [&["-qq", "update"][..], &["-qq", "install", "--yes", "--no-install-recommends", "wrk"]] {
            let status = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
            assert!(status.is_ok_and(|status| status.success()), "wrk is missing: as root, apt-get install wrk");
        }
    }
}

/// Keeps a server busy with the bodies in a file.
pub fn run(url: &str, bodies: &Path, seconds: u32) -> Counted {
    let script = bodies.with_extension("lua");
    std::fs::write(&script, SCRIPT).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .args([url, "--"])
        .arg(bodies)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("counted ")).unwrap_or_else(|| panic!("{said}"));
    let [requests, micros, p50, p99, errors] =
        line.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<f64>>()[..]
    else {
        panic!("{line}");
    };
    assert!(errors == 0.0 && requests > 0.0, "{url}: {said}");
    Counted { requests, seconds: micros / 1e6, p50, p99 }
}

/// How many requests of these bodies a server can answer each second, once it is warm.
pub fn most(url: &str, bodies: &[String], seconds: u32) -> f64 {
    let files = tempfile::TempDir::new().unwrap();
    let file = files.path().join("bodies");
    std::fs::write(&file, bodies.join("\n") + "\n").unwrap();
    run(url, &file, seconds.min(5));
    let counted = run(url, &file, seconds);
    counted.requests / counted.seconds
}

/// Microseconds of CPU that a process has used, and those of its children that have ended.
pub fn cpu_of(process: u32) -> f64 {
    // A process that has just ended has used nothing more.
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return 0.0 };
    // The name may hold anything, in parentheses. proc_pid_stat(5): utime, stime, cutime, cstime are 14 to 17.
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11..15].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    // USER_HZ is 100 on every Linux.
    ticks * 10_000.0
}

/// The same of a process and all its children.
pub fn cpu_of_tree(parent: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    cpu_of(parent) + children.split_whitespace().map(|child| cpu_of(child.parse().unwrap())).sum::<f64>()
}
