//! Kafka as one KRaft node, broker and controller in one process, as its quick start sets it up.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{Site, free_port};
use crate::artifacts::Artifacts;
use crate::perf_tools::QUIET;

/// Any base64 UUID serves; each start formats an empty folder.
const CLUSTER_ID: &str = "Y29tcGFyZS1vdHRsYS1rYQ";

pub(super) fn command(artifacts: &Artifacts, site: &Site<'_>) -> io::Result<Command> {
    let properties = site.folder.join("server.properties");
    fs::write(&properties, server_properties(site, free_port()?))?;
    format_storage(artifacts, &properties)?;
    let mut kafka = java(artifacts);
    kafka.arg("kafka.Kafka").arg(properties);
    Ok(kafka)
}

/// What Kafka's own start script hands to Java.
const JVM_OPTIONS: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
];

fn java(artifacts: &Artifacts) -> Command {
    let mut java = Command::new("java");
    java.args(JVM_OPTIONS).args([QUIET, "-cp", &artifacts.kafka_class_path]);
    java
}

fn format_storage(artifacts: &Artifacts, properties: &Path) -> io::Result<()> {
    let mut format = java(artifacts);
    format.args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"]);
    let output = format.arg(properties).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn server_properties(site: &Site<'_>, controller_port: u16) -> String {
    let Site { port, data_dir, settings, .. } = site;
    let defaults = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        data_dir.display()
    );
    defaults + &settings.kafka.join("\n")
}
