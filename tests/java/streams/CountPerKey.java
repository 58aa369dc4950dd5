import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Repartitioned;

/**
 * Counts the records of each key, exactly once, and writes every count with the value that brought it: the n-th record of a
 * key becomes "n:value". On the way the records pass through a topic of the application's own.
 */
public final class CountPerKey {
    public static void main(String[] args) {
        String inputTopic = args[1];
        String outputTopic = args[2];
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(inputTopic)
            .repartition(Repartitioned.<String, String>as("by-key").withNumberOfPartitions(2))
            .groupByKey()
            .aggregate(() -> "0:", (key, value, last) -> (countOf(last) + 1) + ":" + value)
            .toStream()
            .to(outputTopic);

        KafkaStreams streams = new KafkaStreams(builder.build(), properties(args[0], args[3]));
        streams.setStateListener((state, before) -> {
            System.out.println(state);
            if (state == KafkaStreams.State.ERROR) System.exit(1);
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static long countOf(String counted) {
        return Long.parseLong(counted.substring(0, counted.indexOf(':')));
    }

    private static Properties properties(String bootstrapServers, String stateDir) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "count-per-key");
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        // Every record's count is written, not only the last one of a transaction.
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        // Many small transactions, so that kills fall into them and between them.
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 20);
        properties.put(StreamsConfig.consumerPrefix("max.poll.records"), 100);
        // One that was killed gets its partitions back when it returns, not when its session times out.
        properties.put(StreamsConfig.consumerPrefix("group.instance.id"), "the-only-one");
        properties.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        return properties;
    }
}
