//! One file of a batch while it is written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use flate2::write::{GzEncoder, ZlibEncoder};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;

use super::error::FileSinkError;
use super::file_format::{Codec, FileFormat, Rows};
use crate::sink::SinkError;
use crate::sink::spark_layout;

/// Lines are handed on in pieces of about so many bytes.
const FLUSH_BYTES: usize = 64 << 10;
/// A row group is closed when its encoded columns take so much memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

pub(super) struct PartFile {
    path: PathBuf,
    rows: u64,
    encoder: Encoder,
}

enum Encoder {
    Lines { lines: String, scratch: String, out: Box<Output>, format: Arc<FileFormat>, schema: SchemaRef },
    Parquet { writer: Box<ArrowWriter<File>>, schema: SchemaRef },
}

enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Deflate(ZlibEncoder<BufWriter<File>>),
}

impl PartFile {
    /// Makes the file, which must not exist, and its folder.
    pub(super) fn create(
        path: PathBuf,
        format: &Arc<FileFormat>,
        schema: &SchemaRef,
    ) -> Result<PartFile, FileSinkError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(FileSinkError::io("make the folder of", &path))?;
        }
        let file = File::create_new(&path).map_err(FileSinkError::io("create", &path))?;
        let encoder = match &format.rows {
            Rows::Parquet => parquet(file, &path, format.codec, schema)?,
            rows => {
                let mut lines = String::new();
                if let Rows::Csv(csv) = rows {
                    csv.write_header(&mut lines, schema);
                }
                Encoder::Lines {
                    lines,
                    scratch: String::new(),
                    out: Box::new(Output::new(file, format.codec)),
                    format: format.clone(),
                    schema: spark_layout::schema(schema),
                }
            }
        };
        Ok(PartFile { path, rows: 0, encoder })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        self.rows += batch.num_rows() as u64;
        match &mut self.encoder {
            Encoder::Lines { lines, scratch, out, format, schema } => {
                let batch = spark_layout::cast(batch, schema)?;
                for row in 0..batch.num_rows() {
                    format.write_row(lines, scratch, &batch, row)?;
                    if lines.len() >= FLUSH_BYTES {
                        out.write(lines.as_bytes()).map_err(FileSinkError::io("write", &self.path))?;
                        lines.clear();
                    }
                }
            }
            Encoder::Parquet { writer, schema } => {
                let batch = spark_layout::cast(batch, schema)?;
                let failed = |source| FileSinkError::Parquet { path: self.path.clone(), source };
                writer.write(&batch).map_err(failed)?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush().map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// Completes the file.
    pub(super) fn finish(self) -> Result<PathBuf, FileSinkError> {
        match self.encoder {
            Encoder::Lines { lines, mut out, .. } => {
                let written = out.write(lines.as_bytes()).and_then(|()| out.finish());
                written.map_err(FileSinkError::io("write", &self.path))?;
            }
            Encoder::Parquet { writer, .. } => {
                let closed = writer.close();
                closed.map_err(|source| FileSinkError::Parquet { path: self.path.clone(), source })?;
            }
        }
        Ok(self.path)
    }
}

fn parquet(file: File, path: &Path, codec: Codec, schema: &SchemaRef) -> Result<Encoder, FileSinkError> {
    let schema = spark_layout::schema(schema);
    let properties = WriterProperties::builder().set_compression(codec.of_parquet()).build();
    // Spark goes by Parquet's own schema; Arrow's beside it would be twice the size of a small file.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)
        .map_err(|source| FileSinkError::Parquet { path: path.to_owned(), source })?;
    Ok(Encoder::Parquet { writer: Box::new(writer), schema })
}

impl Output {
    fn new(file: File, codec: Codec) -> Output {
        let file = BufWriter::new(file);
        match codec {
            Codec::Gzip => Output::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Codec::Deflate => Output::Deflate(ZlibEncoder::new(file, flate2::Compression::default())),
            Codec::None | Codec::Snappy => Output::Plain(file),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::Plain(out) => out.write_all(bytes),
            Output::Gzip(out) => out.write_all(bytes),
            Output::Deflate(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Output::Plain(file) => file,
            Output::Gzip(out) => out.finish()?,
            Output::Deflate(out) => out.finish()?,
        };
        file.flush()
    }
}
