//! The query of a segment, planned and checked.

use crate::error::{Error, Result};
use crate::session::{Pinned, Query, needs_of};
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::DFParser;
use roaring::RoaringBitmap;

/// A planned query of one column of customers.
pub(crate) struct SegmentQuery {
    pub(super) plan: LogicalPlan,
    /// The names of the segments that it reads.
    pub(crate) uses: Vec<String>,
}

impl SegmentQuery {
    /// Plans the text; one column of whole numbers is wanted.
    pub(crate) async fn plan(sql: &str, query: &Query) -> Result<Self> {
        let parsed = DFParser::parse_sql(sql);
        let mut statements = parsed.map_err(|error| Error::from_datafusion(error, sql))?;
        let Some(statement) = statements.pop_front() else {
            return Err(Error::invalid("the query of a segment", "it is empty"));
        };
        let plan = query.plan(statement).await?;
        ensure_one_number(&plan)?;
        let needs = needs_of(&plan)?;
        let mut uses = needs.segments.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        uses.dedup();
        Ok(Self { plan, uses })
    }
}

fn ensure_one_number(plan: &LogicalPlan) -> Result<()> {
    let fields = plan.schema().fields();
    let came = match fields.as_ref() {
        [field] if field.data_type().is_integer() => return Ok(()),
        [field] if field.data_type() == &DataType::Null => return Ok(()),
        [field] => format!("column '{}' of type {}", field.name(), field.data_type()),
        fields => {
            let names = fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
            format!("{} columns ({})", fields.len(), names.join(", "))
        }
    };
    let reason =
        format!("{came} came, one column of customers is wanted: SELECT customer_id FROM …");
    Err(Error::invalid("the query of a segment", reason))
}

/// Adds the customers in the first column of the rows for which `is_wanted` is TRUE.
///
/// # Errors
/// For a number that never was a customer.
pub(super) fn add_customers_where(
    batch: &RecordBatch,
    is_wanted: &BooleanArray,
    pinned: &Pinned,
    members: &mut RoaringBitmap,
) -> Result<()> {
    if is_wanted.true_count() == 0 {
        return Ok(());
    }
    let wanted = batch.project(&[0]).and_then(|batch| filter_record_batch(&batch, is_wanted));
    let wanted = wanted.map_err(|error| Error::from_datafusion(error.into(), ""))?;
    add_customers(&wanted, pinned, members)
}

/// Adds the customers in the first column; NULLs are nobody.
///
/// # Errors
/// For a number that never was a customer.
pub(super) fn add_customers(
    batch: &RecordBatch,
    pinned: &Pinned,
    members: &mut RoaringBitmap,
) -> Result<()> {
    let numbers = cast(batch.column(0), &DataType::Int64);
    let numbers = numbers.map_err(|error| Error::from_datafusion(error.into(), ""))?;
    let map = pinned.identities().as_slice();
    for number in numbers.as_primitive::<Int64Type>().iter().flatten() {
        // A number that rests since a merge is today's customer.
        let customer = usize::try_from(number).ok().and_then(|place| map.get(place));
        let Some(&customer) = customer else {
            let reason = format!("customer {number} came, and nobody ever had that number");
            return Err(Error::invalid("the query of a segment", reason));
        };
        members.insert(customer);
    }
    Ok(())
}
