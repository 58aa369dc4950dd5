//! Kafka's releases under test, from Maven.

use tokio::process::Command;

use crate::java;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaRelease {
    V4_3_1,
    /// Of 2021; the release that many tutorials run.
    V2_8_1,
}

impl KafkaRelease {
    pub const ALL: [KafkaRelease; 2] = [KafkaRelease::V4_3_1, KafkaRelease::V2_8_1];

    pub fn version(self) -> &'static str {
        match self {
            KafkaRelease::V4_3_1 => "4.3.1",
            KafkaRelease::V2_8_1 => "2.8.1",
        }
    }

    /// A JVM with the release's jars, and the Java agent compiled against them, on its class path.
    pub async fn java(self) -> Command {
        java::java(&format!("kafka-{}", self.version()), "agent/Agent.java").await
    }
}
