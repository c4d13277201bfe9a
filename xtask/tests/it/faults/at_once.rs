//! Several runs at once.
