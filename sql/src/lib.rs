//! How a person asks Habitué: tables, statements and table functions over DataFusion.

pub mod table_functions;
