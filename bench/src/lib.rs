//! The laboratory: namespaces, links, sources, sinks and ledgers.
