//! The command `mcr links`.
