output "bucket_names" {
  description = "Names of the buckets raw, processed and logs."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.bucket }
}

output "bucket_arns" {
  description = "ARNs of the buckets raw, processed and logs."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.arn }
}

output "key_arns" {
  description = "ARNs of the KMS keys of the data classes raw and processed."
  value       = { raw = aws_kms_key.raw.arn, processed = aws_kms_key.processed.arn }
}

output "sources_table" {
  description = "Name and ARN of the table `sources`."
  value       = { name = aws_dynamodb_table.sources.name, arn = aws_dynamodb_table.sources.arn }
}

# What follows is there for tests.

output "bucket_policies" {
  description = "Policy of each bucket, as JSON."
  value       = { for key, policy in aws_s3_bucket_policy.this : key => policy.policy }
}

output "bucket_settings" {
  description = "What was asked of each bucket."
  value = {
    for key in keys(local.buckets) : key => {
      versioning = aws_s3_bucket_versioning.this[key].versioning_configuration[0].status
      sse_algorithm = one(one(
        aws_s3_bucket_server_side_encryption_configuration.this[key].rule
      ).apply_server_side_encryption_by_default).sse_algorithm
      public_blocked = alltrue([
        aws_s3_bucket_public_access_block.this[key].block_public_acls,
        aws_s3_bucket_public_access_block.this[key].block_public_policy,
        aws_s3_bucket_public_access_block.this[key].ignore_public_acls,
        aws_s3_bucket_public_access_block.this[key].restrict_public_buckets,
      ])
      ownership  = one(aws_s3_bucket_ownership_controls.this[key].rule).object_ownership
      logged_to  = key == "logs" ? null : aws_s3_bucket_logging.this[key].target_bucket
      force_gone = aws_s3_bucket.this[key].force_destroy
    }
  }
}
