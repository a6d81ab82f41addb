//! A statement that was understood and can be run many times, with other values each time.

use crate::error::{Error, Result};
use crate::session::{Answer, Session, counted};
use crate::statements::{self, Answers, Effect, Located, Shape};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::sync::Arc;

/// The place of a value that comes when the statement is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// `$1`, `$2`, …
    pub name: String,
    /// The type that the statement wants, where its text tells; any that can be brought to the
    /// place otherwise.
    pub data_type: Option<DataType>,
}

/// A statement that was understood; each run reads the newest version, or the one of the session's
/// settings.
///
/// ```no_run
/// # async fn example(session: habitue_sql::Session) -> habitue_sql::Result<()> {
/// let prepared = session.prepare("SELECT count(*) FROM events WHERE event = ?").await?;
/// assert_eq!(prepared.parameters().len(), 1);
/// let answer = prepared.run(vec!["purchase".into()]).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Prepared {
    session: Session,
    statement: Located,
    shape: Shape,
    parameters: Arc<[Parameter]>,
}

impl Prepared {
    pub(super) async fn new(session: &Session, sql: &str) -> Result<Self> {
        let sql = statements::numbered(sql)?;
        let mut found = statements::parse(&sql)?;
        let count = found.len();
        let (1, Some(statement)) = (count, found.pop()) else {
            let reason = format!("one statement is wanted, {count} came");
            return Err(Error::invalid("the text", reason));
        };
        session.options().rights.ensure(statement.statement.effect())?;
        let shape = Box::pin(statements::shape(session, &statement)).await?;
        let parameters = in_order(&shape.parameters)?.into();
        Ok(Self { session: session.clone(), statement, shape, parameters })
    }

    /// The columns of the answer: those that [`Prepared::run`] answers, nullability included.
    pub fn schema(&self) -> &SchemaRef {
        &self.shape.schema
    }

    /// What values are wanted, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What it does.
    pub fn effect(&self) -> Effect {
        self.statement.statement.effect()
    }

    /// Whether its answer is rows that were asked for, not a message about what was changed.
    pub fn answers_rows(&self) -> bool {
        self.shape.answers == Answers::Rows
    }

    /// Runs it with a value for each parameter.
    pub async fn run(&self, values: Vec<ScalarValue>) -> Result<Answer> {
        self.ensure_count(values.len())?;
        let answer = self.session.run_with(self.statement.clone(), values).await?;
        Ok(self.as_promised(answer))
    }

    /// Plans a query to the end, with values that stand in for its parameters; nothing is run.
    #[cfg(feature = "postgres")]
    pub(crate) async fn plan_to_the_end(&self) -> Result<()> {
        let Some(statement) = self.statement.statement.of_engine().filter(|_| self.answers_rows())
        else {
            return Ok(());
        };
        let query = self.session.query().await?;
        let plan = query.plan(statement.clone()).await?;
        let values = self.parameters.iter().map(|parameter| {
            let data_type = parameter.data_type.as_ref().unwrap_or(&DataType::Utf8);
            ScalarValue::new_default(data_type)
        });
        let values = values.collect::<datafusion::error::Result<Vec<_>>>()?;
        query.state().create_physical_plan(&plan.with_param_values(values)?).await?;
        Ok(())
    }

    /// Runs it once for each row of `values`, whose columns are the parameters in order. Events
    /// are taken in as one commit; other statements stand each for itself, and the first that
    /// fails ends the run. Answers how many events or rows were added, where that is known.
    pub fn run_rows<'a>(&'a self, values: &'a RecordBatch) -> BoxFuture<'a, Result<Option<u64>>> {
        self.run_each_row(values).boxed()
    }

    async fn run_each_row(&self, values: &RecordBatch) -> Result<Option<u64>> {
        self.ensure_count(values.num_columns())?;
        if let Some(insert) = self.statement.statement.insert_events() {
            let _turn = self.session.turn_to(Effect::InsertEvents).await;
            let answer = insert.run_rows(&self.session, values).await?;
            return Ok(answer.rows_added);
        }
        let mut added = None;
        for row in 0..values.num_rows() {
            let answer = self.run(row_of(values, row)?).await?;
            let rows_added = answer.rows_added;
            let batches = answer.collect().await?;
            let rows_added = rows_added.or_else(|| counted(&batches));
            added = added.into_iter().chain(rows_added).reduce(|sum, rows| sum + rows);
        }
        Ok(added)
    }

    fn ensure_count(&self, came: usize) -> Result<()> {
        match self.parameters.len() {
            wanted if wanted == came => Ok(()),
            wanted => {
                let reason = format!("{wanted} are wanted, {came} came");
                Err(Error::invalid("the number of parameters", reason))
            }
        }
    }

    /// The same rows under the schema that was promised: the engine may find out at the last
    /// moment that a column has no NULL, or read a text in another of its forms.
    fn as_promised(&self, answer: Answer) -> Answer {
        if answer.schema == self.shape.schema || !self.answers_rows() {
            return answer;
        }
        let schema = self.shape.schema.clone();
        let promised = schema.clone();
        let rows = answer.stream.map(move |batch| Ok(under_schema(&batch?, &promised)?));
        let stream: SendableRecordBatchStream =
            Box::pin(RecordBatchStreamAdapter::new(schema.clone(), rows));
        Answer { schema, stream, rows_added: answer.rows_added }
    }
}

/// The values of one row.
pub(crate) fn row_of(values: &RecordBatch, row: usize) -> Result<Vec<ScalarValue>> {
    let columns = values.columns().iter();
    Ok(columns
        .map(|column| ScalarValue::try_from_array(column, row))
        .collect::<Result<_, datafusion::error::DataFusionError>>()?)
}

fn under_schema(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => cast(column, field.data_type()),
    });
    let columns = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// The parameters by their numbers; a number that is not used takes any value.
fn in_order(found: &HashMap<String, Option<DataType>>) -> Result<Vec<Parameter>> {
    let mut numbered = HashMap::with_capacity(found.len());
    for (name, data_type) in found {
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        match number {
            Some(number) if (1..=usize::from(u16::MAX)).contains(&number) => {
                numbered.insert(number, data_type.clone());
            }
            _ => {
                let reason = "parameters are '?', or numbered '$1', '$2', …";
                return Err(Error::invalid(format!("parameter '{name}'"), reason));
            }
        }
    }
    let count = numbered.keys().copied().max().unwrap_or(0);
    let parameters = (1..=count).map(|number| Parameter {
        name: format!("${number}"),
        data_type: numbered.remove(&number).flatten(),
    });
    Ok(parameters.collect())
}
