//! The query of a segment, planned and checked.

use crate::error::{Error, Result};
use crate::session::{Query, needs_of};
use arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::DFParser;

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
