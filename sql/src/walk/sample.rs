//! What the first rows of a large file tell of all rows.

use crate::error::Result;
use crate::events::{LabelTest, has_few_values};
use crate::hot::{Fit, properties_field};
use crate::walk::plan::WalkWish;
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, cast, or};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use habitue_storage::data_file::{member_of_text_column, read_columns};
use habitue_storage::event::label_type;
use std::sync::Arc;

/// So many rows are looked at.
const SAMPLE_ROWS: usize = 4096;

/// Whether members of `properties` have few values.
pub(super) async fn members_are_labels(
    wish: &WalkWish<'_>,
    fit: Fit,
    schema: &Schema,
) -> Result<bool> {
    let names = schema.fields().iter().map(|field| member_of_text_column(field.name()));
    let members = names.flatten().collect::<Vec<_>>();
    if fit == Fit::AllKept || members.is_empty() {
        return Ok(true);
    }
    let Some(sample) = sample(wish, vec![properties_field()?]).await? else {
        return Ok(true);
    };
    for member in members {
        if !has_few_values(sample.column(0), member)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// About how many of so many rows pass the filters about labels.
pub(super) async fn rows_that_pass(wish: &WalkWish<'_>, rows: u64) -> Result<u64> {
    let mut labels = Vec::<Field>::new();
    for (name, _) in wish.filters.iter().flatten() {
        if labels.iter().all(|known| known.name() != name) {
            labels.push(Field::new(name, label_type(), true));
        }
    }
    if labels.is_empty() {
        return Ok(rows);
    }
    let Some(sample) = sample(wish, labels).await?.filter(|sample| sample.num_rows() > 0) else {
        return Ok(rows);
    };
    let passing = passing(&wish.filters, &sample)? as u64;
    Ok((rows * passing).div_ceil(sample.num_rows() as u64))
}

/// How many rows pass all filters.
fn passing(filters: &[Vec<LabelTest>], sample: &RecordBatch) -> Result<usize, DataFusionError> {
    let mut all = BooleanArray::from(vec![true; sample.num_rows()]);
    for tests in filters {
        let mut any = BooleanArray::from(vec![false; sample.num_rows()]);
        for (name, test) in tests {
            let labels = sample.column_by_name(name).ok_or_else(|| {
                DataFusionError::Internal(format!("the sample has no column {name}"))
            })?;
            let labels = cast(labels, &DataType::Utf8View)?;
            let field = Field::new(name, DataType::Utf8View, true);
            let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![labels])?;
            let answers = test.evaluate(&batch)?.into_array(batch.num_rows())?;
            let is_true = |row: Option<bool>| Some(row == Some(true));
            any = or(&any, &answers.as_boolean().iter().map(is_true).collect())?;
        }
        all = and(&all, &any)?;
    }
    Ok(all.true_count())
}

/// The first rows of the largest wanted file.
async fn sample(wish: &WalkWish<'_>, columns: Vec<Field>) -> Result<Option<RecordBatch>> {
    let Some(file) = wish.files.iter().max_by_key(|file| file.rows) else {
        return Ok(None);
    };
    let bucket = wish.pinned.store().bucket();
    let schema = Arc::new(Schema::new(columns));
    let mut batches = read_columns(bucket, file, schema, SAMPLE_ROWS).await?;
    Ok(batches.try_next().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;
    use datafusion::physical_expr::expressions::{Column, is_not_null, is_null};

    // If this fails, a question about a rare event decodes everything, or one about all of them
    // decodes everything each time.
    #[test]
    fn rows_pass_that_pass_one_test_of_each_filter() {
        let labels = |texts: [Option<&str>; 4]| {
            Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>())
        };
        let channel = labels([None, None, Some("web"), Some("web")]);
        let campaign = labels([None, Some("a"), None, Some("a")]);
        let fields = ["channel", "campaign"].map(|name| Field::new(name, label_type(), true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let sample = RecordBatch::try_new(schema, vec![channel, campaign]).unwrap();
        let column = |name: &str| Arc::new(Column::new(name, 0)) as _;
        let is = |name: &str| (name.to_owned(), is_not_null(column(name)).unwrap());
        let is_not = |name: &str| (name.to_owned(), is_null(column(name)).unwrap());
        let passing = |filters: Vec<Vec<LabelTest>>| passing(&filters, &sample).unwrap();
        assert_eq!(passing(vec![]), 4);
        assert_eq!(passing(vec![vec![is("channel")]]), 2);
        assert_eq!(passing(vec![vec![is("channel"), is("campaign")]]), 3);
        assert_eq!(passing(vec![vec![is("channel")], vec![is_not("campaign")]]), 1);
    }
}
