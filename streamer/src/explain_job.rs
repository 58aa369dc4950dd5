//! Prints what a job would do.

use std::io::{self, Write};

use ottla_stream::explain::Explanation;
use ottla_stream::job::JobQuery;

use crate::RunError;
use crate::command_line::{ExplainFormat, Flags};
use crate::run_job;

pub(crate) async fn run(text: &str, format: ExplainFormat, flags: &Flags) -> Result<(), RunError> {
    let settings = flags.settings()?;
    let queries = run_job::plan(text, flags, &settings).await?;
    let base = run_job::wanted_base(flags, &queries).unwrap_or_else(|| "<temporary>".into());
    let folders = run_job::checkpoint_folders(&queries, &base);
    let mut out = io::stdout().lock();
    for (query, folder) in queries.iter().zip(folders) {
        let explanation = Explanation::of(&query.plan).await?;
        let (name, sink) = (query.name.as_deref().unwrap_or("SELECT"), sink(query, flags));
        let checkpoint = folder.display().to_string();
        match format {
            ExplainFormat::Text => {
                writeln!(out, "Query: {name}\nSink: {sink}\nCheckpoint: {checkpoint}\n{explanation}")?;
            }
            ExplainFormat::Json => {
                let plan = serde_json::json!({
                    "name": name, "sink": sink, "checkpoint": checkpoint, "explanation": explanation
                });
                writeln!(out, "{plan}")?;
            }
        }
    }
    Ok(())
}

fn sink(query: &JobQuery, flags: &Flags) -> String {
    query.format().map_or_else(|| format!("{:?}", flags.format).to_lowercase(), str::to_owned)
}
