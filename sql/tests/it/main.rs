//! The SQL crate from outside: one binary, one module per subject.

mod table_functions;
