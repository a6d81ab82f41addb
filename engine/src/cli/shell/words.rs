//! The words that the shell knows by itself: SQL's keywords and the statements of the database.

/// Keywords that are coloured and offered. Words that few people type are left out, so that the
/// offers stay short.
pub(crate) const KEYWORDS: [&str; 112] = [
    "ALL", "ANALYZE", "AND", "ANTI", "ANY", "AS", "ASC", "BEGIN", "BETWEEN", "BIGINT", "BOOLEAN",
    "BY", "CASCADE", "CASE", "CAST", "COMMENT", "COPY", "CREATE", "CROSS", "CURRENT", "DATE",
    "DECIMAL", "DELETE", "DESC", "DESCRIBE", "DISTINCT", "DOUBLE", "DROP", "ELSE", "END",
    "EXCEPT", "EXCLUDE", "EXISTS", "EXPLAIN", "EXTERNAL", "EXTRACT", "FALSE", "FETCH", "FILTER",
    "FIRST", "FOLLOWING", "FOR", "FROM", "FULL", "GROUP", "GROUPING", "HAVING", "IF", "ILIKE",
    "IN", "INNER", "INSERT", "INT", "INTERSECT", "INTERVAL", "INTO", "IS", "JOIN", "LAST",
    "LATERAL", "LEFT", "LIKE", "LIMIT", "LOCATION", "NATURAL", "NOT", "NULL", "NULLS", "OFFSET",
    "ON", "OR", "ORDER", "OUTER", "OVER", "PARTITION", "PRECEDING", "QUALIFY", "RANGE",
    "RECURSIVE", "REFRESH", "REPLACE", "RIGHT", "ROW", "ROWS", "SEGMENT", "SEGMENTS", "SELECT",
    "SEMI", "SET", "SETS", "SHOW", "STATIC", "STORED", "TABLE", "TABLES", "TEXT", "THEN", "TIME",
    "TIMESTAMP", "TO", "TRUE", "UNBOUNDED", "UNION", "UNNEST", "UPDATE", "USING", "VALUES",
    "VARCHAR", "VIEW", "WHEN", "WHERE", "WITH",
];

/// Whether a word is one of the [`KEYWORDS`], in capitals or not.
pub(crate) fn is_keyword(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    KEYWORDS.binary_search(&upper.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // If this fails, the binary search misses words.
    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
        assert!(is_keyword("Select") && is_keyword("with") && !is_keyword("customer_id"));
    }
}
