//! The bus on EventBridge.
