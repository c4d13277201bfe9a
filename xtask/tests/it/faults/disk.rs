//! A disk that is full, or may not be written to.
