//! `ledger::dynamodb::Bodies` on S3: bodies that are too long for a row, in the locked bucket.
