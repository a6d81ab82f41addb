//! The values of a prepared statement's parameters, from the forms in which clients send them.

use crate::postgres::failure::{PROTOCOL_VIOLATION, failed};
use crate::session::Parameter;
use arrow::datatypes::DataType;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Portal;
use datafusion_postgres::pgwire::api::stmt::StoredStatement;
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::extendedquery::Bind;
use std::sync::Arc;

/// The types that a client is told: its own where it gave one, ours otherwise, and text where
/// nobody knows.
pub(super) fn types(wanted: &[Parameter], given: &[Option<Type>]) -> Vec<Type> {
    let count = wanted.len().max(given.len());
    let of = |place: usize| {
        let given = given.get(place).cloned().flatten();
        let ours = || into_pg_type(&plain(wanted.get(place)?.data_type.as_ref()?)).ok();
        given.filter(|given| *given != Type::UNKNOWN).or_else(ours).unwrap_or(Type::TEXT)
    };
    (0..count).map(of).collect()
}

/// The values of a `Bind`.
pub(super) fn values(
    bind: &Bind,
    wanted: &[Parameter],
    given: &[Option<Type>],
) -> PgWireResult<Vec<ScalarValue>> {
    let (came, count) = (bind.parameters.len(), wanted.len());
    if came != count {
        let message = format!("{came} parameters came, the statement wants {count}");
        return Err(failed(PROTOCOL_VIOLATION, message));
    }
    let formats = bind.parameter_format_codes.len();
    if formats > 1 && formats != came {
        let message = format!("{formats} formats came for {came} parameters");
        return Err(failed(PROTOCOL_VIOLATION, message));
    }
    let types = types(wanted, given).into_iter().map(Some).collect();
    let statement = Arc::new(StoredStatement::new(String::new(), (), types));
    let portal = Portal::try_new(bind, statement)?;
    let inferred: Vec<Option<DataType>> =
        wanted.iter().map(|parameter| parameter.data_type.as_ref().map(plain)).collect();
    let inferred: Vec<Option<&DataType>> = inferred.iter().map(Option::as_ref).collect();
    // Where the client's type is far from ours, the engine brings the one to the other.
    let read = deserialize_parameters(&portal, &inferred);
    let values = match read.or_else(|_| deserialize_parameters(&portal, &[]))? {
        ParamValues::List(values) => values.into_iter().map(|value| value.value).collect(),
        ParamValues::Map(_) => Vec::new(),
    };
    Ok(values)
}

/// The type in which a value is read; the engine brings it to the one that it wants.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(data_type: Option<DataType>) -> Parameter {
        Parameter { name: "$1".into(), data_type }
    }

    fn bind(value: &[u8], format: i16) -> Bind {
        Bind::new(None, None, vec![format], vec![Some(value.to_vec().into())], vec![])
    }

    #[test]
    fn the_clients_type_counts_before_ours() {
        let ours = [wanted(Some(DataType::Utf8View)), wanted(None)];
        assert_eq!(types(&ours, &[]), [Type::TEXT, Type::TEXT]);
        assert_eq!(types(&ours, &[Some(Type::INT4), None]), [Type::INT4, Type::TEXT]);
        let unknown = Some(Type::UNKNOWN);
        assert_eq!(types(&[wanted(Some(DataType::Int64))], &[unknown]), [Type::INT8]);
    }

    #[test]
    fn texts_and_bytes_mean_the_same() {
        let ours = [wanted(Some(DataType::Int64))];
        let seven = vec![ScalarValue::Int64(Some(7))];
        assert_eq!(values(&bind(b"7", 0), &ours, &[]).unwrap(), seven);
        assert_eq!(values(&bind(&7_i64.to_be_bytes(), 1), &ours, &[]).unwrap(), seven);
        assert!(values(&bind(b"seven", 0), &ours, &[]).is_err());
        let text = [wanted(Some(DataType::Utf8))];
        let four = vec![ScalarValue::Int32(Some(4))];
        assert_eq!(values(&bind(b"4", 0), &text, &[Some(Type::INT4)]).unwrap(), four);
    }

    // If this fails, one wrong message ends the connection with a panic.
    #[test]
    fn wrong_counts_are_errors() {
        let ours = [wanted(None), wanted(None)];
        assert!(values(&bind(b"7", 0), &ours, &[]).is_err());
        let mut formats = bind(b"7", 0);
        formats.parameters.push(None);
        formats.parameter_format_codes = vec![0, 1, 0];
        assert!(values(&formats, &ours, &[]).is_err());
    }
}
