//! Virtual environments, each from one `requirements*.txt`.

use std::path::{Path, PathBuf};

use crate::install::{self, source};
use crate::program::Program;
use crate::runtime::PYTHON;

/// A Python interpreter that has what `requirements` (a file under `tests/python`) names.
pub async fn with(requirements: &str) -> PathBuf {
    environment(requirements, &[]).await
}

/// The same, without the dependencies of what is named.
pub async fn with_only(requirements: &str) -> PathBuf {
    environment(requirements, &["--no-deps"]).await
}

async fn environment(requirements: &str, options: &[&str]) -> PathBuf {
    let manifest = format!("python/{requirements}");
    let name = format!("python-{}", requirements.trim_end_matches(".txt"));
    let dir = install::once(&name, &[&manifest], async |dir| {
        Program::new(PYTHON).args(["-m", "venv"]).args([dir.join("venv")]).run().await;
        let pip = Program::new(interpreter(dir))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(options);
        pip.args(["-r".as_ref(), source(&manifest).as_os_str()]).run().await;
    })
    .await;
    interpreter(&dir)
}

fn interpreter(dir: &Path) -> PathBuf {
    dir.join(if cfg!(windows) { "venv/Scripts/python.exe" } else { "venv/bin/python" })
}
