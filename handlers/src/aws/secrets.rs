//! The keys of ids and pseudonyms, from Secrets Manager.
