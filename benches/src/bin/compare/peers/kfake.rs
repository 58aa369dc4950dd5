use std::fs;
use std::io;
use std::process::Command;

use super::Site;
use crate::artifacts::Artifacts;

pub(super) fn command(artifacts: &Artifacts, site: &Site<'_>) -> io::Result<Command> {
    fs::create_dir(&site.data_dir)?;
    let mut kfake = Command::new(&artifacts.kfake);
    kfake.arg("-port").arg(site.port.to_string()).arg("-data-dir").arg(&site.data_dir);
    kfake.args(site.settings.kfake);
    Ok(kfake)
}
