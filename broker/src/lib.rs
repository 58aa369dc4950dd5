//! A Kafka broker as a library: sockets, routes, one handler file per API, coordinators.
