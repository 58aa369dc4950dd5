//! Tests that cross crates, and tests with other people's clients.
