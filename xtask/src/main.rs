//! The only automation of this project.

fn main() {}
