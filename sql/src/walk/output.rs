//! The columns that a walk gives, and how their values are found.

use crate::hot::HotColumn;
use crate::walk::files::LoadedFiles;
use crate::walk::runs::Run;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What a column of the output holds; numbers are places among the columns that are read.
#[derive(Clone, Debug)]
pub(crate) enum WalkColumn {
    Customer,
    Time(usize),
    Identifier(usize),
    Decimal(usize),
    Label(usize),
    /// What an expression answers for each label: it is computed once per label, not per row.
    OfLabel(LabelExpression),
}

/// An expression over one label column.
#[derive(Clone, Debug)]
pub(crate) struct LabelExpression {
    /// The place of the column among those that are read.
    pub(crate) column: usize,
    /// The expression; its column 0 is the label.
    pub(crate) expression: Arc<dyn PhysicalExpr>,
}

impl fmt::Display for LabelExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expression)
    }
}

/// The labels of one column in all files of a walk, each once.
pub(crate) struct AllLabels {
    values: Arc<StringViewArray>,
    /// By file: the place of each of its codes in `values`.
    places: Vec<Vec<u32>>,
}

impl AllLabels {
    pub(crate) fn of(files: &LoadedFiles, column: usize) -> Self {
        let mut values = Vec::<Option<String>>::new();
        let mut place_of = HashMap::<Option<String>, u32>::new();
        let mut places = Vec::new();
        for file in files.column(column) {
            let labels = file.as_ref().and_then(|column| column.labels());
            let texts = labels.map_or(&[][..], |labels| labels.values());
            let of_file = texts.iter().map(|text| {
                *place_of.entry(text.clone()).or_insert_with(|| {
                    values.push(text.clone());
                    (values.len() - 1) as u32
                })
            });
            places.push(of_file.collect());
        }
        Self { values: Arc::new(values.into_iter().collect()), places }
    }

    pub(crate) fn values(&self) -> ArrayRef {
        self.values.clone()
    }

    /// What the expression answers for each value.
    pub(crate) fn evaluate(&self, expression: &dyn PhysicalExpr) -> Result<ArrayRef> {
        let schema = Arc::new(Schema::new(vec![Field::new("label", DataType::Utf8View, true)]));
        let batch = RecordBatch::try_new(schema, vec![self.values()])?;
        expression.evaluate(&batch)?.into_array(self.values.len())
    }

    /// Whether the expression is true, by file and code.
    pub(crate) fn passes(&self, expression: &dyn PhysicalExpr) -> Result<Vec<Vec<bool>>> {
        let answers = self.evaluate(expression)?;
        Ok(self.by_code(answers.as_boolean()))
    }

    /// What is true of a value, by file and code.
    pub(crate) fn by_code(&self, truths: &BooleanArray) -> Vec<Vec<bool>> {
        let is_true = |&place: &u32| {
            let place = place as usize;
            truths.is_valid(place) && truths.value(place)
        };
        self.places.iter().map(|codes| codes.iter().map(is_true).collect()).collect()
    }

    /// For each row the place of its label among the values.
    pub(crate) fn places(&self, column: &[Option<Arc<HotColumn>>], runs: &[Run]) -> Vec<u32> {
        let rows = runs.iter().map(|run| run.rows as usize).sum();
        let mut found = Vec::with_capacity(rows);
        for &run in runs {
            let places = &self.places[run.file as usize];
            let file = column[run.file as usize].as_ref();
            let Some(labels) = file.and_then(|column| column.labels()) else {
                continue;
            };
            labels.codes().translated(run.range(), places, &mut found);
        }
        found
    }
}
