//! The TableProvider of `events`: from filters to a plan over Parquet files.

use crate::events::exec::{EventScanExec, OutputColumn};
use crate::events::label_filter::LabelFilter;
use crate::events::paged_reader::PagedReaderFactory;
use crate::events::schema::{events_schema, stored_schema};
use crate::events::selection::{FileSelection, Selection};
use crate::events::statistics::{statistics_of, statistics_of_all};
use crate::events::stored_columns::StoredColumnsFactory;
use crate::session::{CustomerWalk, Pinned, Pruning, STORE_URL, Settings};
use crate::walk::{WalkWish, arranged_rows_of, walk_plan};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{ColumnStatistics, DFSchema, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetRowSelection,
};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{PhysicalExpr, conjunction_opt};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use habitue_storage::catalog::Catalog;
use habitue_storage::data_file::text_column;
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID};
use parquet::arrow::arrow_reader::RowSelection;
use std::sync::Arc;

/// `events` of one snapshot.
#[derive(Debug)]
pub(crate) struct EventsTable {
    pinned: Arc<Pinned>,
    stored: SchemaRef,
    schema: SchemaRef,
}

impl EventsTable {
    pub(crate) fn new(pinned: Arc<Pinned>) -> Self {
        let catalog = pinned.catalog().clone();
        Self::with_catalog(pinned, &catalog)
    }

    /// The same under the columns of another catalog.
    pub(crate) fn with_catalog(pinned: Arc<Pinned>, catalog: &Catalog) -> Self {
        Self { pinned, stored: stored_schema(catalog), schema: events_schema(catalog) }
    }

    /// The same with the metadata of this schema.
    pub(crate) fn with_schema(self, schema: SchemaRef) -> Self {
        Self { schema, ..self }
    }

    /// The same with members of `properties` as further columns.
    pub(crate) fn with_members(&self, keys: &[String]) -> Self {
        let with_members = |schema: &Schema| {
            let member = |key: &String| Field::new(text_column(key), DataType::Utf8View, true);
            let members = keys.iter().map(|key| Arc::new(member(key)));
            let fields = schema.fields().iter().cloned().chain(members).collect::<Vec<_>>();
            Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
        };
        Self {
            pinned: self.pinned.clone(),
            stored: with_members(&self.stored),
            schema: with_members(&self.schema),
        }
    }

    fn select(&self, state: &dyn Session, filters: &[Expr]) -> Result<Selection> {
        let pruning = Settings::of(state.config_options()).pruning;
        let predicate = self.predicate(state, filters)?;
        let schema = &self.schema;
        Ok(Selection::choose(&self.pinned, pruning, filters, predicate, schema)?)
    }

    /// The same selection, when an arrangement tells how many rows the wanted customers have.
    fn selected_by_arrangement(
        &self,
        state: &dyn Session,
        selection: &Selection,
    ) -> Option<Selection> {
        let customers = selection.many_customers()?;
        let partitions = state.config().target_partitions().max(1);
        let rows = arranged_rows_of(&self.pinned, partitions, customers)?;
        Some(selection.with_rows(rows))
    }

    /// The filters that the engine can evaluate, as one expression.
    fn predicate(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let schema = DFSchema::try_from(self.schema.clone())?;
        let planned = |filter: &Expr| state.create_physical_expr(filter.clone(), &schema).ok();
        Ok(conjunction_opt(filters.iter().filter_map(planned)))
    }

    /// The scan as a walk over hot columns, where that is possible.
    async fn walk(
        &self,
        state: &dyn Session,
        selection: &Selection,
        wanted: &[usize],
        by_label: &[LabelFilter],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let settings = Settings::of(state.config_options());
        let is_off = settings.customer_walk == CustomerWalk::Off;
        if is_off || settings.pruning == Pruning::Off || wanted.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(self.schema.project(wanted)?);
        let is_partial = selection.customers.is_some() || !by_label.is_empty();
        let statistics = self.files(selection).1;
        let statistics = projected(&statistics, &self.stored, &schema);
        let walk = walk_plan(WalkWish {
            pinned: &self.pinned,
            schema,
            files: selection.files.iter().map(|selected| &selected.file).collect(),
            customers: selection.customers.clone(),
            filters: by_label.iter().map(|one| one.planned(state)).collect::<Result<_>>()?,
            report: selection.report,
            statistics: if is_partial { statistics.to_inexact() } else { statistics },
            partitions: state.config().target_partitions().max(1),
            may_keep: settings.customer_walk == CustomerWalk::On,
        });
        let walk = walk.await?;
        Ok(walk.map(|walk| Arc::new(walk) as Arc<dyn ExecutionPlan>))
    }

    /// The scan of Parquet files, with the filters about labels above it.
    fn parquet_scan(
        &self,
        state: &dyn Session,
        selection: &Selection,
        mut wanted: Vec<usize>,
        by_label: &[LabelFilter],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let given = wanted.len();
        for name in by_label.iter().flat_map(LabelFilter::labels) {
            let column = self.schema.index_of(name)?;
            if !wanted.contains(&column) {
                wanted.push(column);
            }
        }
        let (columns, outputs) = self.columns(&wanted)?;
        let input = self.parquet_plan(state, selection, columns, limit)?;
        let schema = Arc::new(self.schema.project(&wanted)?);
        let scan = EventScanExec::new(input, schema, outputs, &self.pinned, selection.report);
        let scan: Arc<dyn ExecutionPlan> = Arc::new(scan);
        let known = DFSchema::try_from(scan.schema())?;
        let planned =
            |one: &LabelFilter| state.create_physical_expr(one.expression().clone(), &known);
        let tests = by_label.iter().map(planned).collect::<Result<Vec<_>>>()?;
        let Some(test) = conjunction_opt(tests) else {
            return Ok(scan);
        };
        let filter = FilterExecBuilder::new(test, scan)
            .apply_projection(Some((0..given).collect()))?
            .build()?;
        Ok(Arc::new(filter))
    }

    /// The stored columns to read, and how each wanted column comes from them.
    fn columns(&self, wanted: &[usize]) -> Result<(Vec<usize>, Vec<OutputColumn>)> {
        let customer = self.schema.index_of(CUSTOMER_ID)?;
        let mut columns = Vec::<usize>::new();
        let mut outputs = Vec::with_capacity(wanted.len());
        for &column in wanted {
            let name = self.schema.field(column).name();
            let name = if column == customer { IDENTIFIER_ID } else { name };
            let stored = self.stored.index_of(name)?;
            let read = columns.iter().position(|&read| read == stored);
            let place = read.unwrap_or(columns.len());
            if read.is_none() {
                columns.push(stored);
            }
            outputs.push(match column == customer {
                true => OutputColumn::CustomerOf(place),
                false => OutputColumn::Stored(place),
            });
        }
        Ok((columns, outputs))
    }

    /// The stock Parquet scan of the selected files; `columns` are places in the stored schema.
    fn parquet_plan(
        &self,
        state: &dyn Session,
        selection: &Selection,
        columns: Vec<usize>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if selection.files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.stored.project(&columns)?))));
        }
        let threads = state.config().target_partitions().max(1);
        let (files, statistics) = self.files(selection);
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let config = FileScanConfigBuilder::new(url, self.source(state)?)
            .with_file_groups(FileGroup::new(files).split_files(threads))
            .with_statistics(statistics)
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(StoredColumnsFactory)))
            .with_projection_indices(Some(columns))?
            .build();
        Ok(DataSourceExec::from_data_source(split_over_threads(config, state)?))
    }

    fn source(&self, state: &dyn Session) -> Result<Arc<ParquetSource>> {
        let runtime = state.runtime_env();
        // What is read of data files is compared with their checksums.
        let store = self.pinned.store().checked_objects(self.pinned.snapshot());
        // Data files never change, so their footers are kept for every later query.
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(store, footers);
        let reader = PagedReaderFactory::new(reader);
        let mut options = state.default_table_options().parquet;
        options.global = state.config_options().execution.parquet.clone();
        let source = ParquetSource::new(self.stored.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        Ok(Arc::new(source))
    }

    fn files(&self, selection: &Selection) -> (Vec<PartitionedFile>, Statistics) {
        let known = |selected: &FileSelection| {
            let statistics = statistics_of(&selected.file, &self.stored);
            Arc::new(match selected.rows {
                Some(_) => statistics.to_inexact(),
                None => statistics,
            })
        };
        let statistics = selection.files.iter().map(known).collect::<Vec<_>>();
        let all = statistics_of_all(&statistics, &self.stored);
        let files = selection.files.iter().zip(statistics);
        (files.map(|(selected, known)| partitioned_file(selected, known)).collect(), all)
    }
}

fn partitioned_file(selected: &FileSelection, statistics: Arc<Statistics>) -> PartitionedFile {
    let object = &selected.file.object;
    let file = PartitionedFile::new(object.path.clone(), object.bytes).with_statistics(statistics);
    match &selected.rows {
        Some(ranges) => {
            let rows = usize::try_from(selected.file.rows).unwrap_or(usize::MAX);
            let ranges = ranges.iter().map(|range| range.start as usize..range.end as usize);
            let selection = RowSelection::from_consecutive_ranges(ranges, rows);
            file.with_extension(ParquetRowSelection::new(selection))
        }
        None => file,
    }
}

/// The statistics of stored columns for those of a scan.
fn projected(statistics: &Statistics, stored: &Schema, schema: &Schema) -> Statistics {
    let of = |field: &Arc<Field>| match stored.index_of(field.name()) {
        Ok(column) => statistics.column_statistics[column].clone(),
        Err(_) => ColumnStatistics::new_unknown(),
    };
    Statistics {
        num_rows: statistics.num_rows,
        column_statistics: schema.fields().iter().map(of).collect(),
        ..Statistics::new_unknown(schema)
    }
}

/// Splits large files when there are more threads than files.
fn split_over_threads(config: FileScanConfig, state: &dyn Session) -> Result<FileScanConfig> {
    let optimizer = &state.config_options().optimizer;
    if !optimizer.repartition_file_scans {
        return Ok(config);
    }
    let threads = state.config().target_partitions().max(1);
    let split = config.repartitioned(threads, optimizer.repartition_file_min_size, None)?;
    let split = split.as_deref().and_then(|source| source.downcast_ref::<FileScanConfig>());
    Ok(split.cloned().unwrap_or(config))
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters about labels the scan applies itself. Every other one may leave out files and
    /// rows; none of them is sure to leave out all that do not match.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match LabelFilter::of(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let selection = self.select(state, filters)?;
        let all = || (0..self.schema.fields().len()).collect();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(all);
        let by_label = filters.iter().filter_map(LabelFilter::of).collect::<Vec<_>>();
        let limit = limit.filter(|_| by_label.is_empty());
        if limit.is_none()
            && let Some(selection) = self.selected_by_arrangement(state, &selection)
            && let Some(walk) = self.walk(state, &selection, &wanted, &by_label).await?
        {
            return Ok(walk);
        }
        let selection = selection.narrowed(&self.pinned).await?;
        if limit.is_none()
            && let Some(walk) = self.walk(state, &selection, &wanted, &by_label).await?
        {
            return Ok(walk);
        }
        self.parquet_scan(state, &selection, wanted, &by_label, limit)
    }
}
