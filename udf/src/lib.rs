//! Habitué.
