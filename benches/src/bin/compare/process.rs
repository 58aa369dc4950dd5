//! What Linux tells about a running process.

use std::{fs, io};

/// `USER_HZ`, the unit of CPU times in `/proc`: 100 on every architecture that Linux runs Ottla on.
const TICKS_PER_SECOND: f64 = 100.0;
const BYTES_PER_KIB: u64 = 1024;

/// User and system time that all threads of `pid` have used since its start.
pub(crate) fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| malformed("stat", pid))?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Private memory of `pid`: `RssAnon`, which leaves out mapped files.
pub(crate) fn anonymous_memory_bytes(pid: u32) -> io::Result<u64> {
    status_bytes(pid, "RssAnon:")
}

/// What `pid` has in memory, mapped files included: `VmRSS`.
pub(crate) fn resident_memory_bytes(pid: u32) -> io::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// Whether `pid` has ended, and its parent has not asked for its exit code yet.
pub(crate) fn is_zombie(pid: u32) -> io::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or_else(|| malformed("stat", pid))?;
    Ok(after_name.trim_start().starts_with('Z'))
}

/// Files, sockets and the like that `pid` has open.
pub(crate) fn open_files(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

fn malformed(file: &str, pid: u32) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/{file} is not as proc(5) describes it"))
}

/// Fields 14 and 15 of proc(5)'s `stat`, counted after the command name, which may hold spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_bytes(pid: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    field_bytes(&status, field).ok_or_else(|| malformed("status", pid))
}

fn field_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * BYTES_PER_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_spaces_and_brackets() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 1000 0 0 0 70 30 5 6 20 0 3 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(100));
    }

    #[test]
    fn private_memory_is_the_anonymous_part() {
        let status = "VmRSS:\t   90000 kB\nRssAnon:\t    1396 kB\nRssFile:\t 80000 kB\n";
        assert_eq!(field_bytes(status, "RssAnon:"), Some(1396 * 1024));
    }

    #[test]
    fn this_process_has_used_memory() {
        assert!(anonymous_memory_bytes(std::process::id()).unwrap() > 0);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
        assert!(!is_zombie(std::process::id()).unwrap());
    }
}
