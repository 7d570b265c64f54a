//! What the host lets this process have.
//!
//! Cores need no code of ours: `available_parallelism`, by which threads, pools and bounds go, knows the quota of a cgroup.

use std::io::{Error, ErrorKind};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where cgroups of version 2 are mounted, everywhere.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The memory that this process may use, in bytes, if that is known: of the machine, or of its cgroup if that is less.
pub fn memory() -> Option<u64> {
    let of_machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok();
    let of_group = group.and_then(|text| limit(Path::new(CGROUPS), &text));
    of_machine.into_iter().chain(of_group).min()
}

/// Lets this process open as many files and connections as it may at all; how many that is.
///
/// # Errors
/// When the system refuses that.
pub fn raise_open_files() -> std::io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(current.unwrap_or(u64::MAX));
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| Error::new(ErrorKind::PermissionDenied, error))?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The least that a cgroup or one around it allows. `groups` is /proc/self/cgroup, where version 2 has the line `0::/path`.
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join(path);
    let read = |group: &Path| std::fs::read_to_string(group.join("memory.max")).ok()?.trim().parse::<u64>().ok();
    group.ancestors().take_while(|group| group.starts_with(root)).filter_map(read).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_all_groups_around_holds() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("pods/one");
        std::fs::create_dir_all(&inner).unwrap();
        let groups = "1:name=systemd:/\n0::/pods/one\n";
        assert_eq!(limit(root.path(), groups), None);
        std::fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(limit(root.path(), groups), None);
        std::fs::write(root.path().join("pods/memory.max"), "1073741824\n").unwrap();
        assert_eq!(limit(root.path(), groups), Some(1 << 30));
        std::fs::write(inner.join("memory.max"), "536870912\n").unwrap();
        assert_eq!(limit(root.path(), groups), Some(512 << 20));
        // In a container of its own the root is its group.
        std::fs::write(root.path().join("memory.max"), "67108864\n").unwrap();
        assert_eq!(limit(root.path(), "0::/\n"), Some(64 << 20));
        assert_eq!(limit(root.path(), "4:memory:/one\n"), None);
    }

    #[test]
    fn the_memory_of_a_machine_is_read() {
        assert_eq!(total("MemTotal:       24631232 kB\nMemFree: 1 kB\n"), Some(24_631_232 << 10));
        assert_eq!(total(""), None);
    }

    #[test]
    fn all_files_that_may_be_open_can_be() {
        let most = raise_open_files().unwrap();
        assert!(most > 0);
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), most);
    }
}
