output "tables" {
  description = "Name, ARN and stream's ARN of each table of the audit store."
  value = {
    ledger  = { name = aws_dynamodb_table.ledger.name, arn = aws_dynamodb_table.ledger.arn }
    head    = { name = aws_dynamodb_table.head.name, arn = aws_dynamodb_table.head.arn }
    seal    = { name = aws_dynamodb_table.seal.name, arn = aws_dynamodb_table.seal.arn }
    views   = { name = aws_dynamodb_table.views.name, arn = aws_dynamodb_table.views.arn }
    cursors = { name = aws_dynamodb_table.cursors.name, arn = aws_dynamodb_table.cursors.arn }
  }
}

output "stream_arns" {
  description = "ARNs of the streams of the tables ledger and head."
  value       = { ledger = aws_dynamodb_table.ledger.stream_arn, head = aws_dynamodb_table.head.stream_arn }
}

output "day_index_arn" {
  description = "ARN of the ledger's index of streams by day."
  value       = "${aws_dynamodb_table.ledger.arn}/index/${var.ledger_day_index.name}"
}

output "bucket_names" {
  description = "Names of the buckets tiles and audit."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.bucket }
}

output "bucket_arns" {
  description = "ARNs of the buckets tiles and audit."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.arn }
}

output "key_arns" {
  description = "ARNs of the KMS keys audit, secrets and signing."
  value       = { audit = aws_kms_key.audit.arn, secrets = aws_kms_key.secrets.arn, signing = aws_kms_key.signing.arn }
}

output "secret_arns" {
  description = "ARNs of the secrets, by the name of the key that each holds."
  value       = { for key, secret in aws_secretsmanager_secret.key : key => secret.arn }
}

output "secret_names" {
  description = "Names of the secrets, by the name of the key that each holds."
  value       = { for key, secret in aws_secretsmanager_secret.key : key => secret.name }
}

output "auditor_role_arn" {
  description = "Role that verifies the ledger and writes nothing."
  value       = aws_iam_role.auditor.arn
}

# What follows is there for tests.

output "bucket_policies" {
  description = "Policy of each bucket, as JSON."
  value       = { for key, policy in aws_s3_bucket_policy.this : key => policy.policy }
}

output "auditor_policy" {
  description = "Policy of the auditor's role, as JSON."
  value       = aws_iam_role_policy.auditor.policy
}

output "ledger_table_policy" {
  description = "Policy of the ledger table, as JSON."
  value       = aws_dynamodb_resource_policy.ledger.policy
}

output "audit_lock" {
  description = "Default retention of the audit bucket."
  value       = one(one(aws_s3_bucket_object_lock_configuration.audit.rule).default_retention)
}

output "table_settings" {
  description = "What was asked of each table."
  value = {
    for key, table in {
      ledger = aws_dynamodb_table.ledger, head = aws_dynamodb_table.head, seal = aws_dynamodb_table.seal,
      views  = aws_dynamodb_table.views, cursors = aws_dynamodb_table.cursors,
      } : key => {
      pitr      = one(table.point_in_time_recovery).enabled
      protected = table.deletion_protection_enabled
      key_arn   = one(table.server_side_encryption).kms_key_arn
    }
  }
}
