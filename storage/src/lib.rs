//! A partition's log in Kafka's file format: mapped segments, indexes, recovery.
