//! The adapters of AWS: the ports of `handlers` and `ledger` on S3, DynamoDB, EventBridge, KMS and Secrets Manager.

pub mod bodies;
pub mod bus;
pub mod kms;
pub mod names;
pub mod published;
pub mod s3;
pub mod secrets;
pub mod sources;
pub mod views;
