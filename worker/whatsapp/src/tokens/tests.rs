//! The tokens of a connection, alone.
