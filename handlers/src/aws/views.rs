//! `Views` on DynamoDB.
