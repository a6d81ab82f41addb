//! Columns that a query names, for the columns that each data file has.
//!
//! A compacted file may hold members of `properties` in columns of their own
//! ([`Members`]). The engine asks for each file how expressions are to be
//! rewritten for it; here the text of `properties`, and that of a member, become expressions over
//! what is stored.

use crate::events::member::StoredMember;
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use habitue_storage::data_file::{Member, MemberKind, Members, member_of_text_column};
use habitue_storage::event::PROPERTIES;
use std::sync::Arc;

/// Makes [`StoredColumns`].
#[derive(Debug)]
pub(super) struct StoredColumnsFactory;

impl PhysicalExprAdapterFactory for StoredColumnsFactory {
    fn create(
        &self,
        logical: SchemaRef,
        stored: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let others = DefaultPhysicalExprAdapterFactory.create(logical, stored.clone())?;
        let members = Members::of(&stored).map(Arc::new);
        Ok(Arc::new(StoredColumns { stored, members, others }))
    }
}

/// Rewrites expressions for one file.
#[derive(Debug)]
struct StoredColumns {
    stored: SchemaRef,
    members: Option<Arc<Members>>,
    /// For all other columns.
    others: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for StoredColumns {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let own = expression.transform_down(|part| {
            Ok(match self.instead_of(&part)? {
                Some(own) => Transformed::new(own, true, TreeNodeRecursion::Jump),
                None => Transformed::no(part),
            })
        });
        self.others.rewrite(own?.data)
    }
}

impl StoredColumns {
    fn instead_of(&self, part: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(column) = part.downcast_ref::<Column>() else {
            return Ok(None);
        };
        if let Some(key) = member_of_text_column(column.name()) {
            return self.member(key).map(Some);
        }
        match &self.members {
            Some(members) if column.name() == PROPERTIES => self.joined(members).map(Some),
            _ => Ok(None),
        }
    }

    /// The whole text of `properties`.
    fn joined(&self, members: &Arc<Members>) -> Result<Arc<dyn PhysicalExpr>> {
        let columns = members.iter().map(Member::column);
        let arguments = std::iter::once(PROPERTIES.to_owned()).chain(columns);
        self.call(Work::Join(members.clone()), arguments)
    }

    /// The text of a member.
    fn member(&self, key: &str) -> Result<Arc<dyn PhysicalExpr>> {
        let kinds = [MemberKind::Text, MemberKind::Json].map(|kind| {
            let mut members = self.members.iter().flat_map(|members| members.iter());
            members.find(|member| member.name() == key && member.kind() == kind)
        });
        let [text, json] = kinds.map(|member| member.map(Member::column));
        let work = Work::Member {
            key: key.to_owned(),
            has_text: text.is_some(),
            has_json: json.is_some(),
        };
        self.call(work, std::iter::once(PROPERTIES.to_owned()).chain(text).chain(json))
    }

    fn call(
        &self,
        work: Work,
        columns: impl Iterator<Item = String>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let column = |name: String| {
            let column = Column::new_with_schema(&name, &self.stored)?;
            Ok(Arc::new(column) as Arc<dyn PhysicalExpr>)
        };
        let arguments = columns.map(column).collect::<Result<Vec<_>>>()?;
        let function =
            StoredText { work, signature: Signature::variadic_any(Volatility::Immutable) };
        Ok(Arc::new(ScalarFunctionExpr::new(
            function.name(),
            Arc::new(ScalarUDF::new_from_impl(function.clone())),
            arguments,
            Arc::new(Field::new(function.name(), DataType::Utf8View, true)),
            Arc::new(ConfigOptions::default()),
        )))
    }
}

/// A function of `properties` as stored and columns of members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StoredText {
    work: Work,
    signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// The whole text of all members.
    Join(Arc<Members>),
    /// The text of one member, which may have columns of each kind.
    Member { key: String, has_text: bool, has_json: bool },
}

impl ScalarUDFImpl for StoredText {
    fn name(&self) -> &str {
        match self.work {
            Work::Join(_) => "properties_of_members",
            Work::Member { .. } => "member_of_properties",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some((whole, members)) = columns.split_first() else {
            return Err(DataFusionError::Internal("properties are not stored".into()));
        };
        let texts: ArrayRef = match &self.work {
            Work::Join(known) => Arc::new(joined(known, whole, members)?),
            Work::Member { key, has_text, has_json } => {
                let text = members.first().filter(|_| *has_text);
                let json = members.last().filter(|_| *has_json);
                StoredMember { key, whole, text, json }.texts()?
            }
        };
        Ok(ColumnarValue::Array(cast(&texts, &DataType::Utf8View)?))
    }
}

fn joined(members: &Members, whole: &ArrayRef, columns: &[ArrayRef]) -> Result<StringArray> {
    let text = |column: &ArrayRef| {
        let column = cast(column, &DataType::Utf8)?;
        Ok(column.as_string::<i32>().clone())
    };
    let columns = columns.iter().map(text).collect::<Result<Vec<_>>>()?;
    let texts = members.join(&text(whole)?, &columns);
    texts.map_err(|error| DataFusionError::External(Box::new(error)))
}
