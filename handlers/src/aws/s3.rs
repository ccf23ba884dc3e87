//! `Objects` and `Stored` on S3.
