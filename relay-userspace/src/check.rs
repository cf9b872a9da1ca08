//! mcr check
