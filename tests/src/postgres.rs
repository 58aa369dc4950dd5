//! A PostgreSQL of its own for a test: a new cluster in a temporary folder, ended with its owner.
//!
//! Needs nothing else of this crate: the unit tests of `ottla-stream` include the file, where a dependency would have all
//! of DataFusion compiled once more, with the features that this crate has of tokio.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The name by which `OTTLA_REQUIRE_CLIENTS` knows it.
const NAME: &str = "postgres";
/// The server says so on its standard error.
const READY: &str = "database system is ready to accept connections\n";

pub struct Postgres {
    server: Child,
    port: u16,
    programs: PathBuf,
    _folder: TempDir,
}

impl Postgres {
    /// Makes a cluster with the superuser `ottla`, who needs no password, and starts its server on a free port.
    /// `None` where PostgreSQL is not installed, which is said on the console.
    ///
    /// # Panics
    /// When it is not installed and `OTTLA_REQUIRE_CLIENTS` names it.
    pub fn start() -> Option<Postgres> {
        let Some(programs) = programs() else {
            let required = std::env::var("OTTLA_REQUIRE_CLIENTS").unwrap_or_default();
            let is_required = required.split(',').any(|name| name.trim() == NAME);
            assert!(!is_required, "OTTLA_REQUIRE_CLIENTS asks for {NAME}, but initdb cannot be found");
            eprintln!("skipped: PostgreSQL's initdb cannot be found");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        own(folder.path());
        let data = folder.path().join("data");
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb
            .args(["-A", "trust", "-U", "ottla", "-E", "UTF8", "--no-sync", "--no-locale", "-D"])
            .arg(&data);
        let made = initdb.output().expect("initdb runs");
        assert!(made.status.success(), "initdb failed: {made:?}");
        let port = free_port();
        let mut server = unprivileged(&programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-F"]);
        // Its socket would otherwise lie in a folder that only Debian's own cluster may write to.
        #[cfg(unix)]
        server.args(["-k", ""]);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let server = server.spawn().expect("postgres runs");
        let mut postgres = Postgres { server, port, programs, _folder: folder };
        postgres.wait_until_ready();
        Some(postgres)
    }

    /// As users write it.
    pub fn url(&self) -> String {
        format!("postgresql://ottla@127.0.0.1:{}/postgres", self.port)
    }

    /// What `psql` prints for a statement: a row a line, its columns with `|` between, nothing for null.
    pub fn query(&self, sql: &str) -> String {
        let psql = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", sql])
            .env("PGCLIENTENCODING", "UTF8")
            .output()
            .expect("psql runs");
        assert!(psql.status.success(), "{sql}: {}", String::from_utf8_lossy(&psql.stderr));
        String::from_utf8(psql.stdout).expect("psql prints UTF-8").trim_end_matches(['\n', '\r']).to_owned()
    }

    fn wait_until_ready(&mut self) {
        let mut log = BufReader::new(self.server.stderr.take().expect("its standard error is a pipe"));
        let mut text = String::new();
        while !text.ends_with(READY) {
            let read = log.read_line(&mut text).expect("PostgreSQL prints text");
            assert!(read > 0, "PostgreSQL did not start: {text}");
        }
        // What it says from now on must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // As a power cut would; its folder goes with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The folder of `initdb`, `postgres` and `psql`, which Debian keeps out of the path.
fn programs() -> Option<PathBuf> {
    let initdb = format!("initdb{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.filter_map(|version| Some(version.ok()?.path().join("bin"))));
    }
    let found = folders.into_iter().map(|folder| folder.join(&initdb)).find(|program| program.exists())?;
    // The programs look for their files from where they really are.
    let found = std::fs::canonicalize(found).ok()?;
    found.parent().map(Path::to_owned)
}

/// PostgreSQL refuses to run as root, so it is `nobody`'s then.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(std::env::temp_dir());
    #[cfg(unix)]
    if let Some((user, group)) = nobody() {
        use std::os::unix::process::CommandExt;
        command.uid(user).gid(group);
    }
    command
}

fn own(folder: &Path) {
    #[cfg(unix)]
    if let Some((user, group)) = nobody() {
        std::os::unix::fs::chown(folder, Some(user), Some(group)).expect("root may give its folder away");
    }
    #[cfg(not(unix))]
    let _ = folder;
}

/// User and group of `nobody`, where this process is root's.
#[cfg(unix)]
fn nobody() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let own = tempfile::tempfile().and_then(|file| file.metadata()).expect("a temporary file");
    (own.uid() == 0).then_some((65_534, 65_534))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
