//! How much of the machine the engine may use.

use std::path::{Path, PathBuf};

/// Memory, threads and disk for one engine.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    /// The memory that rows may take, in queries and ingest together.
    pub memory_bytes_max: u64,
    /// What decoded columns that are kept for later queries may take of it; half by default.
    pub cache_bytes_max: Option<u64>,
    /// How many threads compute.
    pub threads: usize,
    /// Where data go that do not fit in memory.
    pub spill_dir: PathBuf,
}

/// What is assumed of a machine that does not tell its memory.
const MEMORY_BYTES_UNKNOWN: u64 = 4 << 30;

/// 60 % of what the machine or the control group has.
pub(crate) fn default_memory_bytes() -> u64 {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    available_memory(read) / 10 * 6
}

/// The smaller of the machine's memory and the limits of the control groups above this process.
fn available_memory(read: impl Fn(&Path) -> Option<String>) -> u64 {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine_memory(&text));
    let own_groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = group_files(&own_groups).into_iter().filter_map(|path| group_limit(&read(&path)?));
    limits.chain(machine).min().unwrap_or(MEMORY_BYTES_UNKNOWN)
}

fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The files that may hold a limit: of the process's own group and of every group above it.
fn group_files(own_groups: &str) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")];
    for line in own_groups.lines() {
        let Some(group) = line.strip_prefix("0::/") else {
            continue;
        };
        let root = Path::new("/sys/fs/cgroup");
        files.extend(
            root.join(group)
                .ancestors()
                .take_while(|path| path.starts_with(root))
                .map(|path| path.join("memory.max")),
        );
    }
    files
}

/// `max` is no limit; groups of the first kind write a number near 2^63 for it.
fn group_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| (1..1 << 60).contains(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(files: &[(&str, &str)]) -> u64 {
        available_memory(|path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_smallest_limit_of_machine_and_groups_counts() {
        let meminfo = ("/proc/meminfo", "MemFree: 1 kB\nMemTotal:       8388608 kB\n");
        let own = ("/proc/self/cgroup", "0::/a/b\n");
        assert_eq!(memory(&[meminfo]), 8 << 30);
        assert_eq!(memory(&[meminfo, own, ("/sys/fs/cgroup/a/b/memory.max", "max\n")]), 8 << 30);
        let above = ("/sys/fs/cgroup/a/memory.max", "1073741824\n");
        assert_eq!(memory(&[meminfo, own, above]), 1 << 30);
        assert_eq!(memory(&[]), MEMORY_BYTES_UNKNOWN);
    }
}
