//! GetXdbcTypeInfo: the types of SQL as ODBC and JDBC number them.

use arrow_flight::error::Result;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// What sort of values a type has.
#[derive(Clone, Copy)]
enum Sort {
    Whole,
    Approximate,
    Exact,
    Text,
    Bytes,
    Time(XdbcDatetimeSubcode),
    Other,
}

/// Name, number, size, sort. Sizes as ODBC counts them: digits or bits of numbers, letters of texts
/// and of times in ISO notation; 0 is without a limit.
const TYPES: [(&str, XdbcDataType, i32, Sort); 18] = [
    ("BOOLEAN", XdbcDataType::XdbcBit, 1, Sort::Other),
    ("TINYINT", XdbcDataType::XdbcTinyint, 3, Sort::Whole),
    ("SMALLINT", XdbcDataType::XdbcSmallint, 5, Sort::Whole),
    ("INTEGER", XdbcDataType::XdbcInteger, 10, Sort::Whole),
    ("BIGINT", XdbcDataType::XdbcBigint, 19, Sort::Whole),
    ("REAL", XdbcDataType::XdbcReal, 24, Sort::Approximate),
    ("FLOAT", XdbcDataType::XdbcFloat, 24, Sort::Approximate),
    ("DOUBLE", XdbcDataType::XdbcDouble, 53, Sort::Approximate),
    ("DECIMAL", XdbcDataType::XdbcDecimal, 76, Sort::Exact),
    ("NUMERIC", XdbcDataType::XdbcNumeric, 76, Sort::Exact),
    ("CHAR", XdbcDataType::XdbcChar, 0, Sort::Text),
    ("VARCHAR", XdbcDataType::XdbcVarchar, 0, Sort::Text),
    ("TEXT", XdbcDataType::XdbcLongvarchar, 0, Sort::Text),
    ("BYTEA", XdbcDataType::XdbcVarbinary, 0, Sort::Bytes),
    ("DATE", XdbcDataType::XdbcDate, 10, Sort::Time(XdbcDatetimeSubcode::XdbcSubcodeYear)),
    ("TIME", XdbcDataType::XdbcTime, 15, Sort::Time(XdbcDatetimeSubcode::XdbcSubcodeTime)),
    (
        "TIMESTAMP",
        XdbcDataType::XdbcTimestamp,
        29,
        Sort::Time(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
    ),
    ("INTERVAL", XdbcDataType::XdbcInterval, 0, Sort::Other),
];

/// All types, ordered by number.
pub(in crate::flight) fn xdbc_types() -> Result<XdbcTypeInfoData> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, size, sort) in TYPES {
        builder.append(type_info(name, data_type, size, sort));
    }
    builder.build()
}

fn type_info(name: &str, data_type: XdbcDataType, size: i32, sort: Sort) -> XdbcTypeInfo {
    let quoted = matches!(sort, Sort::Text | Sort::Bytes | Sort::Time(_));
    let prefix = match sort {
        Sort::Bytes => Some("X'".to_owned()),
        Sort::Time(_) => Some(format!("{name} '")),
        _ => quoted.then(|| "'".to_owned()),
    };
    let (radix, scales) = match sort {
        Sort::Whole => (Some(10), Some((0, 0))),
        Sort::Exact => (Some(10), Some((0, 76))),
        Sort::Approximate => (Some(2), None),
        Sort::Time(_) => (None, Some((0, 9))),
        Sort::Text | Sort::Bytes | Sort::Other => (None, None),
    };
    let is_number = matches!(sort, Sort::Whole | Sort::Exact | Sort::Approximate);
    let subcode = match sort {
        Sort::Time(subcode) => Some(subcode),
        _ => None,
    };
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: (size > 0).then_some(size),
        literal_prefix: prefix,
        literal_suffix: quoted.then(|| "'".to_owned()),
        create_params: matches!(sort, Sort::Exact)
            .then(|| vec!["precision".to_owned(), "scale".to_owned()]),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: matches!(sort, Sort::Text),
        searchable: Searchable::Full,
        unsigned_attribute: is_number.then_some(false),
        fixed_prec_scale: false,
        auto_increment: is_number.then_some(false),
        local_type_name: Some(name.to_owned()),
        minimum_scale: scales.map(|(smallest, _)| smallest),
        maximum_scale: scales.map(|(_, largest)| largest),
        // ODBC has one verbose number for dates and times; the subcode tells them apart.
        sql_data_type: subcode.map_or(data_type, |_| XdbcDataType::XdbcDatetime),
        datetime_subcode: subcode,
        num_prec_radix: radix,
        interval_precision: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_about_one_type_is_answered_with_it() {
        let types = xdbc_types().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), TYPES.len());
        let bigint = types.record_batch(XdbcDataType::XdbcBigint as i32).unwrap();
        assert_eq!(bigint.num_rows(), 1);
    }
}
