//! What is compared, built or fetched by its own build tool: `ottla` by cargo, kfake by go, Kafka by Maven.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{fs, io};

use thiserror::Error;

/// Where everything that a run starts lies on disk.
#[derive(Debug, Default)]
pub(crate) struct Artifacts {
    pub(crate) ottla: PathBuf,
    pub(crate) kfake: PathBuf,
    /// Java's class path of Kafka and its tools.
    pub(crate) kafka_class_path: String,
}

#[derive(Debug, Error)]
pub(crate) enum BuildError {
    #[error("cannot run `{program}`: {source}; install it, or leave its broker out with --against")]
    Missing { program: &'static str, source: io::Error },
    #[error("`{program}` failed in {} ({status}); its own message stands above", folder.display())]
    Failed { program: &'static str, folder: PathBuf, status: ExitStatus },
    #[error("cannot lay out the cargo target folder: {0}")]
    TargetFolder(#[from] io::Error),
}

impl Artifacts {
    /// Builds all three into the cargo target folder that this program runs from.
    /// `ottla` overrides the binary to measure.
    pub(crate) fn build(ottla: Option<PathBuf>) -> Result<Artifacts, BuildError> {
        let ottla = match ottla {
            Some(binary) => binary,
            None => build_package("ottla")?,
        };
        let kfake = tools_dir()?.join("kfake");
        run("go", Command::new("go").args(["build", "-o"]).arg(&kfake).arg("."), &sources().join("kfake"))?;
        Ok(Artifacts { ottla, kfake, ..Artifacts::of_kafka()? })
    }

    /// Only what it takes to start Kafka.
    pub(crate) fn of_kafka() -> Result<Artifacts, BuildError> {
        let jars = tools_dir()?.join("kafka-4.3.1");
        copy_jars(&sources().join("../tests/java/kafka-4.3.1"), &jars)?;
        Ok(Artifacts { kafka_class_path: format!("{}/*", jars.display()), ..Artifacts::default() })
    }

    /// Only what it takes to start Ottla.
    pub(crate) fn of_ottla() -> Result<Artifacts, BuildError> {
        Ok(Artifacts { ottla: build_package("ottla")?, ..Artifacts::default() })
    }
}

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn profile_dir() -> io::Result<PathBuf> {
    let this_program = std::env::current_exe()?;
    Ok(this_program.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// Where other people's programs are kept from run to run.
pub(crate) fn tools_dir() -> io::Result<PathBuf> {
    Ok(profile_dir()?.join("compare-tools"))
}

/// The binary of one of our packages, which has the package's name.
pub(crate) fn build_package(package: &str) -> Result<PathBuf, BuildError> {
    let profile_dir = profile_dir()?;
    let target_dir = profile_dir.parent().unwrap_or(&profile_dir);
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", package, "--target-dir"]).arg(target_dir);
    run("cargo", &mut cargo, sources())?;
    Ok(target_dir.join("release").join(package))
}

/// What a program says first, such as its version; empty where it does not run.
pub(crate) fn first_line(command: &mut Command) -> String {
    let said = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
}

/// Lets Maven copy what a `pom.xml` asks for. The folder gets its name once it is whole, so that a run that was stopped
/// leaves nothing that looks so.
pub(crate) fn copy_jars(project: &Path, jars: &Path) -> Result<(), BuildError> {
    if jars.exists() {
        return Ok(());
    }
    let partial = jars.with_extension("partial");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-Dstyle.color=never", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", partial.display()));
    run("mvn", &mut maven, project)?;
    Ok(fs::rename(partial, jars)?)
}

pub(crate) fn run(program: &'static str, command: &mut Command, folder: &Path) -> Result<(), BuildError> {
    // A report on stdout stays free of what build tools print.
    let status = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .map_err(|source| BuildError::Missing { program, source })?;
    if status.success() {
        return Ok(());
    }
    Err(BuildError::Failed { program, folder: folder.to_path_buf(), status })
}
