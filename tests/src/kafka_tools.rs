//! Kafka's command-line tools, as its `bin/` scripts start them.

use crate::kafka_release::KafkaRelease;
use crate::program::Program;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Topics,
    ConsoleProducer,
    ConsoleConsumer,
    ConsumerGroups,
    ProducerPerfTest,
    ConsumerPerfTest,
    EndToEndLatency,
    GetOffsets,
    DeleteRecords,
    BrokerApiVersions,
    Configs,
    DumpLog,
    Transactions,
}

impl Tool {
    fn script(self) -> &'static str {
        match self {
            Tool::Topics => "kafka-topics",
            Tool::ConsoleProducer => "kafka-console-producer",
            Tool::ConsoleConsumer => "kafka-console-consumer",
            Tool::ConsumerGroups => "kafka-consumer-groups",
            Tool::ProducerPerfTest => "kafka-producer-perf-test",
            Tool::ConsumerPerfTest => "kafka-consumer-perf-test",
            Tool::EndToEndLatency => "kafka-e2e-latency",
            Tool::GetOffsets => "kafka-get-offsets",
            Tool::DeleteRecords => "kafka-delete-records",
            Tool::BrokerApiVersions => "kafka-broker-api-versions",
            Tool::Configs => "kafka-configs",
            Tool::DumpLog => "kafka-dump-log",
            Tool::Transactions => "kafka-transactions",
        }
    }

    fn class(self, release: KafkaRelease) -> &'static str {
        let [newest, of_2021] = match self {
            Tool::Topics => ["org.apache.kafka.tools.TopicCommand", "kafka.admin.TopicCommand"],
            Tool::ConsoleProducer => {
                ["org.apache.kafka.tools.ConsoleProducer", "kafka.tools.ConsoleProducer"]
            }
            Tool::ConsoleConsumer => {
                ["org.apache.kafka.tools.consumer.ConsoleConsumer", "kafka.tools.ConsoleConsumer"]
            }
            Tool::ConsumerGroups => [
                "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                "kafka.admin.ConsumerGroupCommand",
            ],
            Tool::ProducerPerfTest => ["org.apache.kafka.tools.ProducerPerformance"; 2],
            Tool::ConsumerPerfTest => {
                ["org.apache.kafka.tools.ConsumerPerformance", "kafka.tools.ConsumerPerformance"]
            }
            Tool::EndToEndLatency => {
                ["org.apache.kafka.tools.EndToEndLatency", "kafka.tools.EndToEndLatency"]
            }
            Tool::GetOffsets => ["org.apache.kafka.tools.GetOffsetShell", "kafka.tools.GetOffsetShell"],
            Tool::DeleteRecords => {
                ["org.apache.kafka.tools.DeleteRecordsCommand", "kafka.admin.DeleteRecordsCommand"]
            }
            Tool::BrokerApiVersions => {
                ["org.apache.kafka.tools.BrokerApiVersionsCommand", "kafka.admin.BrokerApiVersionsCommand"]
            }
            Tool::Configs => ["kafka.admin.ConfigCommand"; 2],
            Tool::DumpLog => ["org.apache.kafka.tools.DumpLogSegments", "kafka.tools.DumpLogSegments"],
            // There since 3.0.
            Tool::Transactions => ["org.apache.kafka.tools.TransactionsCommand"; 2],
        };
        match release {
            KafkaRelease::V4_3_1 => newest,
            KafkaRelease::V2_8_1 => of_2021,
        }
    }

    /// Which option takes the broker's address; `None` where the tool has it elsewhere, or needs no broker.
    fn bootstrap_option(self, release: KafkaRelease) -> Option<&'static str> {
        match (self, release) {
            (Tool::ProducerPerfTest | Tool::DumpLog, _) => None,
            (Tool::EndToEndLatency, KafkaRelease::V2_8_1) => None,
            (Tool::GetOffsets, KafkaRelease::V2_8_1) => Some("--broker-list"),
            _ => Some("--bootstrap-server"),
        }
    }
}

/// The tools of one release, pointed at one server.
pub struct KafkaTools {
    pub release: KafkaRelease,
    pub bootstrap_servers: String,
}

impl KafkaTools {
    pub fn new(release: KafkaRelease, bootstrap_servers: String) -> KafkaTools {
        KafkaTools { release, bootstrap_servers }
    }

    /// A tool and its arguments, without the server's address where it is an option of the tool.
    pub async fn tool(&self, tool: Tool, args: &str) -> Program {
        let java = self.release.java().await;
        let shown = format!("{} {}", tool.script(), self.release.version());
        let mut program = Program::from(java).args([tool.class(self.release)]);
        if let Some(option) = tool.bootstrap_option(self.release) {
            program = program.args([option, &self.bootstrap_servers]);
        }
        program.shown_as(shown).args(args.split_whitespace())
    }
}
