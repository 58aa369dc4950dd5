//! The engine against a broker in the same process, and its binary as a user runs it.

mod aggregation;
mod bad_input;
mod binary;
mod console;
mod crash;
mod damage;
mod data_frame;
mod data_loss;
mod event_time;
mod exactly_once;
mod expressions;
mod file_source;
mod full_disk;
mod generated_sources;
mod harness;
mod job_file;
mod jobs;
mod kafka_options;
mod killed;
mod resume;
mod source_options;
mod state_command;
mod static_tables;
