//! How Spark writes values: as text (`show`, `CAST … AS STRING`) and as JSON (`to_json`).

pub mod json;
pub mod number;
pub mod text;
pub mod timestamp;
pub mod type_name;
