//! `SourceTable` on DynamoDB.
