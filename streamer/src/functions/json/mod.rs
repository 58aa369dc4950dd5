//! JSON: one scanner over bytes, and the functions that read with it.

mod array_column;
mod column;
mod from_json;
mod get_json_object;
mod inferred;
mod number;
mod options;
mod parse_json;
mod path;
mod plain_run;
#[cfg(test)]
mod plan_tests;
mod prune;
mod reader;
mod scalar_column;
mod scanner;
mod schema_of_json;
mod share;
mod string;
mod struct_column;
mod text_column;
mod to_json;

pub(super) use from_json::FromJson;
pub(super) use get_json_object::GetJsonObject;
pub(crate) use inferred::RecordSchema;
pub(crate) use number::decimal;
pub(crate) use options::{JsonOptions, TimeReader};
pub(crate) use prune::prune_json;
pub(crate) use reader::{Reader as JsonReader, nullable};
pub(super) use schema_of_json::SchemaOfJson;
pub(crate) use schema_of_json::schema_of_json;
pub(super) use to_json::ToJson;
