use std::process::Command;

use super::Site;
use crate::artifacts::Artifacts;

pub(super) fn command(artifacts: &Artifacts, site: &Site<'_>) -> Command {
    let mut ottla = Command::new(&artifacts.ottla);
    ottla.arg("serve").arg("--listen").arg(format!("127.0.0.1:{}", site.port));
    ottla.arg("--data-dir").arg(&site.data_dir);
    ottla.args(site.settings.ottla);
    ottla
}
