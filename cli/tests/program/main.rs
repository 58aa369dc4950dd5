//! The real program, as users and scripts run it.

mod broker;
mod run;

mod groups;
mod log;
mod records;
mod serve;
mod start;
mod stream;
mod topics;
mod waiting;
