//! The relay's effects. Decisions live in [`relay_common`]; this crate carries them out.
