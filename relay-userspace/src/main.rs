//! The binary `mcr`.

fn main() {}
