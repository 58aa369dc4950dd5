//! Kafka's wire protocol: bytes to requests, responses and record batches, and back. No sockets, files or tokio.
