//! What a program and the one that it starts (PySpark's JVM) take of the machine, read while they run.

use std::collections::HashMap;
use std::fs;
use std::io;

use crate::process;

/// The highest values seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    /// `RssAnon`.
    pub(super) private_bytes: u64,
    /// `VmRSS`.
    pub(super) resident_bytes: u64,
}

#[derive(Debug)]
pub(super) struct ProcessTree {
    root: u32,
    /// A process's time only grows, and is not forgotten when it ends before the root.
    cpu_seconds: HashMap<u32, f64>,
    peak: Usage,
}

impl ProcessTree {
    pub(super) fn of(root: u32) -> ProcessTree {
        ProcessTree { root, cpu_seconds: HashMap::new(), peak: Usage::default() }
    }

    /// Looks once. A process that is gone by now has nothing to add.
    pub(super) fn look(&mut self) {
        let (mut private_bytes, mut resident_bytes) = (0, 0);
        for pid in self.processes() {
            if let Ok(seconds) = process::cpu_seconds(pid) {
                self.cpu_seconds.insert(pid, seconds);
            }
            private_bytes += process::anonymous_memory_bytes(pid).unwrap_or_default();
            resident_bytes += process::resident_memory_bytes(pid).unwrap_or_default();
        }
        self.peak.private_bytes = self.peak.private_bytes.max(private_bytes);
        self.peak.resident_bytes = self.peak.resident_bytes.max(resident_bytes);
        self.peak.cpu_seconds = self.cpu_seconds.values().sum();
    }

    /// Whether the root has ended, and only its times are left until somebody waits for it.
    pub(super) fn has_ended(&self) -> io::Result<bool> {
        process::is_zombie(self.root)
    }

    pub(super) fn peak(&self) -> Usage {
        self.peak
    }

    /// The root and what its first thread has started.
    fn processes(&self) -> Vec<u32> {
        let root = self.root;
        let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(root).chain(children).collect()
    }
}
