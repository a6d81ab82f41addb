//! Functions of Postgres that say something about this connection.

use crate::postgres::settings::ClientSettings;
use crate::session::{CATALOG, MAIN};
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// What `version()` answers: tools read the number behind the first word.
fn version() -> String {
    let (postgres, own) = (super::settings::SERVER_VERSION, env!("CARGO_PKG_VERSION"));
    format!("PostgreSQL {postgres} (Habitué {own})")
}

/// What Habitué has nothing of: descriptions, definitions, sizes of other things than tables.
const NO_TEXT: [&str; 27] = [
    "col_description",
    "format",
    "inet_client_addr",
    "inet_server_addr",
    "json_build_object",
    "obj_description",
    "pg_describe_object",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_partition_constraintdef",
    "pg_get_partkeydef",
    "pg_get_publication_tables",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_size_pretty",
    "pg_tablespace_location",
    "set_config",
    "shobj_description",
];
/// Numbers of things that do not exist.
const NO_NUMBER: [&str; 9] = [
    "inet_client_port",
    "inet_server_port",
    "pg_char_to_encoding",
    "pg_my_temp_schema",
    "to_regclass",
    "to_regnamespace",
    "to_regproc",
    "to_regrole",
    "to_regtype",
];
/// Whoever may connect sees everything.
const TRUE: [&str; 19] = [
    "has_column_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_sequence_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_has_role",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "pg_type_is_visible",
];
const FALSE: [&str; 2] = ["pg_is_in_recovery", "pg_is_other_temp_schema"];
const ZERO: [&str; 4] =
    ["pg_database_size", "pg_indexes_size", "pg_table_size", "pg_tablespace_size"];

/// Registers them for the connection of this user.
pub(super) fn register(context: &SessionContext, user: &str, settings: &ClientSettings) {
    let text = |value: &str| ScalarValue::Utf8(Some(value.to_owned()));
    let own = [
        ("version", text(&version())),
        ("current_schema", text(MAIN)),
        ("current_database", text(CATALOG)),
        ("getdatabaseencoding", text("UTF8")),
        ("session_user", text(user)),
        ("current_user", text(user)),
        ("current_schemas", list(vec!["pg_catalog", MAIN])),
    ];
    let same = |names: &'static [&'static str], value: ScalarValue| {
        names.iter().map(move |name| (*name, value.clone()))
    };
    let all = own
        .into_iter()
        .chain(same(&NO_TEXT, ScalarValue::Utf8(None)))
        .chain(same(&NO_NUMBER, ScalarValue::Int32(None)))
        .chain(same(&TRUE, ScalarValue::Boolean(Some(true))))
        .chain(same(&FALSE, ScalarValue::Boolean(Some(false))))
        .chain(same(&ZERO, ScalarValue::Int64(Some(0))));
    for (name, value) in all {
        context.register_udf(ScalarUDF::new_from_impl(Constant::new(name, value)));
    }
    context.register_udf(ScalarUDF::new_from_impl(CurrentSetting::new(settings.all())));
}

fn list(texts: Vec<&str>) -> ScalarValue {
    let texts: ArrayRef = Arc::new(StringArray::from(texts));
    ScalarValue::List(Arc::new(SingleRowListArrayBuilder::new(texts).build_list_array()))
}

/// The same value, whatever the arguments are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    signature: Signature,
    value: ScalarValue,
}

impl Constant {
    fn new(name: &'static str, value: ScalarValue) -> Self {
        let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        Self { name, signature: Signature::one_of(any, Volatility::Stable), value }
    }
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name [, missing_ok])`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    signature: Signature,
    settings: Vec<(String, String)>,
}

impl CurrentSetting {
    fn new(settings: Vec<(String, String)>) -> Self {
        Self { signature: Signature::variadic_any(Volatility::Stable), settings }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(names) = arguments.args.first() else {
            return Err(DataFusionError::Plan(
                "current_setting wants the name of a setting".into(),
            ));
        };
        let names = cast(&names.to_array(arguments.number_rows)?, &DataType::Utf8)?;
        let names = names.as_string::<i32>();
        let values = names.iter().map(|name| self.value(name?));
        let values: StringArray = values.collect();
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}
