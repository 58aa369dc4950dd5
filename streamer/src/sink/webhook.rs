//! Each batch as one POST to a URL: its rows as a JSON array, or one a line.
//!
//! Options: `url`; `body`, which is `json` or `lines`; `header.<Name>` for further headers; `timeoutMs` of one try;
//! `maxRetries` and `retryBackoffMs`, which doubles from try to try. A batch without rows is not sent.
//!
//! At least once: a batch may come twice, under the same `Idempotency-Key: <query id>-<batch id>`, by which the receiver
//! can tell. The body is in memory up to 1 MiB, else in a temporary file.

use std::io::{Read, Seek, Write};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use tempfile::SpooledTempFile;
use thiserror::Error;
use ureq::{Agent, SendBody};

use super::{Sink, SinkBatch, SinkContext, SinkError};
use crate::format::json::JsonFormat;
use crate::options::{Options, OptionsError};
use crate::output_mode::OutputMode;

const IN_MEMORY_BYTES: usize = 1 << 20;
/// Rows are handed on in pieces of about so many bytes.
const FLUSH_BYTES: usize = 64 << 10;
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// So much of an answer is told in an error.
const MAX_ANSWER_BYTES: u64 = 500;

#[derive(Debug, Error)]
pub enum WebhookError {
    #[error(
        "{url} did not answer batch {batch_id} in {tries} tries: {cause}; see that it is up, and start the query again"
    )]
    NoAnswer { url: String, batch_id: u64, tries: u64, cause: String },
    #[error("{url} refused batch {batch_id} with HTTP status {status} after {tries} tries: {answer}")]
    Refused { url: String, batch_id: u64, status: u16, tries: u64, answer: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyForm {
    Array,
    Lines,
}

pub struct WebhookSink {
    url: String,
    headers: Vec<(String, String)>,
    form: BodyForm,
    format: JsonFormat,
    agent: Agent,
    max_retries: u64,
    backoff: Duration,
    query_id: String,
}

/// How one try ended, if not well.
struct Failure {
    status: Option<u16>,
    text: String,
}

impl WebhookSink {
    pub fn new(options: &Options, context: &SinkContext) -> Result<WebhookSink, SinkError> {
        let url = options.required("url", "a webhook sink")?.to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let reason = "it begins with http:// or https://".to_owned();
            return Err(OptionsError::Unfit { key: "url", value: url, reason }.into());
        }
        let form = match options.get("body") {
            None | Some("json") => BodyForm::Array,
            Some("lines") => BodyForm::Lines,
            Some(other) => {
                let (value, reason) = (other.to_owned(), "it is json or lines".to_owned());
                return Err(OptionsError::Unfit { key: "body", value, reason }.into());
            }
        };
        let prefix = "header.";
        let header = |(key, value): (&str, &str)| {
            let name = key.get(prefix.len()..).filter(|_| key.to_lowercase().starts_with(prefix))?;
            Some((name.to_owned(), value.to_owned()))
        };
        let timeout = Duration::from_millis(options.count("timeoutMs", 1)?.unwrap_or(30_000));
        let config =
            Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).build();
        Ok(WebhookSink {
            url,
            headers: options.iter().filter_map(header).collect(),
            form,
            format: JsonFormat::new(context.time_zone),
            agent: config.into(),
            max_retries: options.count("maxRetries", 0)?.unwrap_or(5),
            backoff: Duration::from_millis(options.count("retryBackoffMs", 0)?.unwrap_or(200)),
            query_id: context.query_id.clone(),
        })
    }

    async fn body(&self, batch: SinkBatch) -> Result<(SpooledTempFile, u64), SinkError> {
        let (names, mut rows, mut count) = (batch.names(), batch.in_order(), 0);
        let (mut body, mut text) = (SpooledTempFile::new(IN_MEMORY_BYTES), String::new());
        let is_array = self.form == BodyForm::Array;
        while let Some(batch) = rows.try_next().await? {
            for row in 0..batch.num_rows() {
                if is_array {
                    text.push(if count == 0 { '[' } else { ',' });
                }
                let names = names.iter().map(String::as_str);
                self.format.write_row(&mut text, names, batch.columns(), row)?;
                if !is_array {
                    text.push('\n');
                }
                count += 1;
                if text.len() >= FLUSH_BYTES {
                    body.write_all(text.as_bytes())?;
                    text.clear();
                }
            }
        }
        if is_array {
            text.push(']');
        }
        body.write_all(text.as_bytes())?;
        Ok((body, count))
    }

    fn request(&self, batch_id: u64) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let content_type = match self.form {
            BodyForm::Array => "application/json",
            BodyForm::Lines => "application/x-ndjson",
        };
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", content_type)
            .header("Idempotency-Key", format!("{}-{batch_id}", self.query_id));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }
}

#[async_trait]
impl Sink for WebhookSink {
    fn description(&self) -> String {
        format!("Webhook[{}]", self.url)
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let batch_id = batch.id;
        let (mut body, rows) = self.body(batch).await?;
        if rows == 0 {
            return Ok(0);
        }
        let mut backoff = self.backoff;
        let mut tries = 0;
        loop {
            body.rewind()?;
            tries += 1;
            let request = self.request(batch_id);
            let tried = tokio::task::spawn_blocking(move || {
                let outcome = post(request, &mut body);
                (body, outcome)
            });
            let (returned, outcome) = tried.await.map_err(std::io::Error::other)?;
            body = returned;
            let Err(failure) = outcome else {
                return Ok(rows);
            };
            if tries > self.max_retries || !failure.may_pass() {
                return Err(self.error(batch_id, tries, failure).into());
            }
            tracing::warn!("{} failed, trying again: {}", self.url, failure.text);
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }
}

impl WebhookSink {
    fn error(&self, batch_id: u64, tries: u64, failure: Failure) -> WebhookError {
        let url = self.url.clone();
        match failure.status {
            Some(status) => WebhookError::Refused { url, batch_id, status, tries, answer: failure.text },
            None => WebhookError::NoAnswer { url, batch_id, tries, cause: failure.text },
        }
    }
}

impl Failure {
    /// Whether another try may go better.
    fn may_pass(&self) -> bool {
        self.status.is_none_or(|status| matches!(status, 408 | 425 | 429 | 500..=599))
    }
}

fn post(
    request: ureq::RequestBuilder<ureq::typestate::WithBody>,
    body: &mut SpooledTempFile,
) -> Result<(), Failure> {
    let sent = request.send(SendBody::from_reader(body));
    let mut answer = sent.map_err(|error| Failure { status: None, text: error.to_string() })?;
    if answer.status().is_success() {
        return Ok(());
    }
    let mut text = Vec::new();
    // What cannot be read is left out of the error.
    let _ = answer.body_mut().as_reader().take(MAX_ANSWER_BYTES).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Err(Failure { status: Some(answer.status().as_u16()), text })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    use super::*;
    use crate::sink::test_batches::{batch, context, schema};

    /// Answers one request with each of these statuses, and returns the requests: head and body.
    fn server(statuses: &'static [u16]) -> (String, JoinHandle<Vec<(String, String)>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/rows", listener.local_addr().unwrap());
        let serve =
            move || statuses.iter().map(|status| answer(&listener.accept().unwrap().0, *status)).collect();
        (url, std::thread::spawn(serve))
    }

    fn answer(socket: &TcpStream, status: u16) -> (String, String) {
        let mut lines = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            lines.read_line(&mut head).unwrap();
        }
        assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            lines.read_line(&mut size).unwrap();
            let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).unwrap() + 2];
            lines.read_exact(&mut chunk).unwrap();
            if chunk.len() == 2 {
                break;
            }
            body.extend(&chunk[..chunk.len() - 2]);
        }
        let mut socket = socket;
        write!(socket, "HTTP/1.1 {status} X\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhy?").unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    fn sink(url: &str, options: &[(&str, &str)]) -> WebhookSink {
        let mut options = Options::from_iter(options.iter().copied());
        options.set("url", url);
        options.set("retryBackoffMs", "0");
        WebhookSink::new(&options, &context(std::path::Path::new("cp"), schema())).unwrap()
    }

    #[tokio::test]
    async fn a_batch_is_posted_again_until_it_is_taken_under_one_key() {
        let (url, server) = server(&[503, 429, 201]);
        let mut sink = sink(&url, &[("header.Authorization", "Bearer x")]);
        assert_eq!(sink.write_batch(batch(7, &[&[("a", 1)], &[("b", 2)]])).await.unwrap(), 2);
        assert_eq!(sink.write_batch(batch(8, &[&[]])).await.unwrap(), 0, "nobody hears of it");
        let requests = server.join().unwrap();
        assert_eq!(requests.len(), 3);
        for (head, body) in requests {
            let head = head.to_lowercase();
            assert!(head.starts_with("post /rows http/1.1\r\n"), "{head}");
            assert!(head.contains("idempotency-key: 6d1d7bb5-1b2b-4b7c-8f43-f2b9e7a6a1c4-7\r\n"), "{head}");
            assert!(head.contains("authorization: bearer x\r\n"), "{head}");
            assert_eq!(body, r#"[{"word":"a","n":1},{"word":"b","n":2}]"#);
        }
    }

    #[tokio::test]
    async fn rows_may_be_lines() {
        let (url, server) = server(&[200]);
        let mut sink = sink(&url, &[("body", "lines")]);
        sink.write_batch(batch(0, &[&[("a", 1), ("b", 2)]])).await.unwrap();
        let (head, body) = server.join().unwrap().remove(0);
        assert!(head.to_lowercase().contains("content-type: application/x-ndjson\r\n"), "{head}");
        assert_eq!(body, "{\"word\":\"a\",\"n\":1}\n{\"word\":\"b\",\"n\":2}\n");
    }

    #[tokio::test]
    async fn a_refusal_and_a_silence_are_errors_that_name_the_url() {
        let (url, server) = server(&[400]);
        let error = sink(&url, &[]).write_batch(batch(3, &[&[("a", 1)]])).await.unwrap_err().to_string();
        assert_eq!(error, format!("{url} refused batch 3 with HTTP status 400 after 1 tries: why?"));
        server.join().unwrap();
        // Its port is closed now.
        let mut sink = sink(&url, &[("maxRetries", "1")]);
        let error = sink.write_batch(batch(3, &[&[("a", 1)]])).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{url} did not answer batch 3 in 2 tries: ")), "{error}");
    }
}
