import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Queue;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's Java client behind the agent protocol of tests/src/agent.rs. Compiled against each Kafka release under test. */
public final class Agent {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** As long as a broker lets a transaction be open, so that one which is left open stays so for the test. */
    private static final String TRANSACTION_TIMEOUT_MS = "900000";

    private final String bootstrapServers;
    private final Map<String, KafkaProducer<String, String>> producers = new HashMap<>();
    private final Map<String, KafkaProducer<String, String>> transactional = new HashMap<>();
    private final Queue<ConsumerRecord<String, String>> fetched = new ArrayDeque<>();
    private final Map<TopicPartition, OffsetAndMetadata> delivered = new HashMap<>();
    private KafkaConsumer<String, String> consumer;

    private Agent(String bootstrapServers) {
        this.bootstrapServers = bootstrapServers;
    }

    public static void main(String[] args) throws Exception {
        Agent agent = new Agent(args[0]);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                agent.serve(JSON.readTree(line), answer);
            } catch (Exception e) {
                answer.put("error", e.toString());
            }
            System.out.write((JSON.writeValueAsString(answer) + "\n").getBytes(StandardCharsets.UTF_8));
            System.out.flush();
        }
        System.exit(0);
    }

    private void serve(JsonNode request, ObjectNode answer) throws Exception {
        switch (request.get("do").asText()) {
            case "create": create(request); break;
            case "produce": produce(request, producer(request), answer.putArray("offsets")); break;
            case "begin": transactional(request).beginTransaction(); break;
            case "send": produce(request, transactional(request), answer.putArray("offsets")); break;
            case "send_offsets": sendOffsets(request); break;
            case "commit_transaction": transactional(request).commitTransaction(); break;
            case "abort_transaction": transactional(request).abortTransaction(); break;
            case "subscribe": subscribe(request); break;
            case "assignment": awaitAssignment(request.get("partitions").asInt(), answer.putArray("partitions")); break;
            case "assign": assign(request); break;
            case "drain": drain(answer.putArray("records")); break;
            case "poll": poll(request.get("count").asInt(), answer.putArray("records")); break;
            case "commit": consumer.commitSync(delivered); break;
            case "close": close(); break;
            default: throw new IllegalArgumentException("no such request: " + request);
        }
    }

    private void create(JsonNode request) throws Exception {
        try (Admin admin = Admin.create(properties())) {
            NewTopic topic = new NewTopic(request.get("topic").asText(), request.get("partitions").asInt(), (short) 1);
            admin.createTopics(List.of(topic)).all().get();
        }
    }

    private void produce(JsonNode request, KafkaProducer<String, String> producer, ArrayNode offsets) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode record : request.get("records")) {
            ProducerRecord<String, String> message = new ProducerRecord<>(request.get("topic").asText(),
                record.get("partition").asInt(), record.get("timestamp").asLong(), text(record.get("key")), text(record.get("value")));
            for (JsonNode header : record.get("headers")) {
                String value = text(header.get(1));
                message.headers().add(header.get(0).asText(), value == null ? null : value.getBytes(StandardCharsets.UTF_8));
            }
            sent.add(producer.send(message));
        }
        producer.flush();
        for (Future<RecordMetadata> acknowledged : sent) offsets.add(acknowledged.get().offset());
    }

    private KafkaProducer<String, String> producer(JsonNode request) {
        String codec = request.get("codec").asText();
        return producers.computeIfAbsent(codec, unused -> producer("compression.type", codec));
    }

    /** The producer of that transactional id, which fences whoever had the id before. */
    private KafkaProducer<String, String> transactional(JsonNode request) {
        String id = request.get("id").asText();
        return transactional.computeIfAbsent(id, unused -> {
            KafkaProducer<String, String> producer = producer("transactional.id", id, "transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
            producer.initTransactions();
            return producer;
        });
    }

    private KafkaProducer<String, String> producer(String... settings) {
        Properties properties = properties();
        for (int at = 0; at < settings.length; at += 2) properties.put(settings[at], settings[at + 1]);
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    /** Offsets of a group, as part of the transaction. */
    private void sendOffsets(JsonNode request) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (JsonNode offset : request.get("offsets")) {
            TopicPartition partition = new TopicPartition(request.get("topic").asText(), offset.get(0).asInt());
            offsets.put(partition, new OffsetAndMetadata(offset.get(1).asLong()));
        }
        transactional(request).sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(request.get("group").asText()));
    }

    private void subscribe(JsonNode request) {
        Properties properties = properties();
        properties.put("group.id", request.get("group").asText());
        if (request.has("protocol")) properties.put("group.protocol", request.get("protocol").asText());
        consumer = consumer(properties);
        consumer.subscribe(List.of(request.get("topic").asText()));
    }

    private void assign(JsonNode request) {
        Properties properties = properties();
        properties.put("isolation.level", "read_committed");
        consumer = consumer(properties);
        List<TopicPartition> partitions = new ArrayList<>();
        for (int partition = 0; partition < request.get("partitions").asInt(); partition++)
            partitions.add(new TopicPartition(request.get("topic").asText(), partition));
        consumer.assign(partitions);
    }

    private KafkaConsumer<String, String> consumer(Properties properties) {
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    private void awaitAssignment(int partitions, ArrayNode assigned) {
        while (consumer.assignment().size() != partitions) fetch();
        for (TopicPartition partition : consumer.assignment()) assigned.add(partition.partition());
    }

    private void poll(int count, ArrayNode records) {
        while (records.size() < count) {
            ConsumerRecord<String, String> record = fetched.poll();
            if (record == null) fetch();
            else {
                records.add(json(record));
                delivered.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
        }
    }

    private void drain(ArrayNode records) {
        Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
        while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) fetch();
        while (!fetched.isEmpty()) records.add(json(fetched.poll()));
    }

    private void fetch() {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) fetched.add(record);
    }

    private void close() {
        consumer.close();
        fetched.clear();
        delivered.clear();
    }

    private Properties properties() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrapServers);
        return properties;
    }

    private static ObjectNode json(ConsumerRecord<String, String> record) {
        ObjectNode json = JSON.createObjectNode().put("partition", record.partition()).put("offset", record.offset())
            .put("timestamp", record.timestamp()).put("key", record.key()).put("value", record.value());
        ArrayNode headers = json.putArray("headers");
        for (Header header : record.headers()) {
            String value = header.value() == null ? null : new String(header.value(), StandardCharsets.UTF_8);
            headers.addArray().add(header.key()).add(value);
        }
        return json;
    }

    private static String text(JsonNode node) {
        return node == null || node.isNull() ? null : node.asText();
    }
}
