//! `ottla stream`

use std::path::{Path, PathBuf};

use crate::run::Ran;

/// A copy of the program where `ottla-stream` is neither beside it nor in a target folder.
fn lonely(dir: &tempfile::TempDir) -> PathBuf {
    let folder = dir.path().join("some").join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("ottla").with_extension(std::env::consts::EXE_EXTENSION);
    copy(env!("CARGO_BIN_EXE_ottla").as_ref(), &program);
    program
}

/// By a process of its own on Unix: a file that this one has written cannot be run as long as a process that another
/// test has just forked still holds it open.
fn copy(from: &Path, to: &Path) {
    if cfg!(unix) {
        let copied = std::process::Command::new("cp").arg("-p").args([from, to]).status().unwrap();
        assert!(copied.success());
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

fn run_in(dir: &tempfile::TempDir, program: &PathBuf) -> Ran {
    let mut command = std::process::Command::new(program);
    let command = command
        .args(["stream", "sql", "SELECT 1", "--help"])
        .current_dir(dir.path())
        .env("PATH", "/usr/bin:/bin");
    command.output().unwrap().into()
}

#[test]
fn an_engine_that_has_not_been_built_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let program = lonely(&dir);
    let error = run_in(&dir, &program).fails_with(9);
    assert!(error.contains("cargo build --release -p ottla-stream"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_engine_beside_it_gets_all_arguments() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let program = lonely(&dir);
    let script = dir.path().join("script");
    std::fs::write(&script, "#!/bin/sh\nprintf '%s|' \"$@\"\nexit 7\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    copy(&script, &program.with_file_name("ottla-stream"));
    let ran = run_in(&dir, &program);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "sql|SELECT 1|--help|"));
}
