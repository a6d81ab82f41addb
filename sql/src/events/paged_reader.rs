//! Reading Parquet by pages, also where no predicate asks for them.
//!
//! The engine loads the places of pages only to prune by their statistics. We know the rows that
//! are wanted from the files' own indexes; without the places of pages it would read whole columns
//! of row groups to get at a few of them.

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use std::ops::Range;
use std::sync::Arc;

/// Makes readers that know the places of pages.
#[derive(Debug)]
pub(super) struct PagedReaderFactory {
    files: CachedParquetFileReaderFactory,
}

impl PagedReaderFactory {
    pub(super) fn new(files: CachedParquetFileReaderFactory) -> Self {
        Self { files }
    }
}

impl ParquetFileReaderFactory for PagedReaderFactory {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let file = self.files.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(PagedReader { file }))
    }
}

struct PagedReader {
    file: Box<dyn AsyncFileReader + Send>,
}

impl AsyncFileReader for PagedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.file.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.file.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default();
        let options = options.with_page_index_policy(PageIndexPolicy::Optional);
        Box::pin(async move { self.file.get_metadata(Some(&options)).await })
    }
}
