//! An async client of Kafka's wire protocol: metadata, produce, fetch, offsets, groups, admin.
