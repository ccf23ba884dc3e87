# What `medimg --aws outputs.json` and people need. `terraform output -json > outputs.json`; deploy.sh does it.

output "project_name" {
  description = "First part of every name."
  value       = var.project_name
}

output "environment" {
  description = "Second part of every name."
  value       = var.environment
}

output "aws_region" {
  description = "Region that everything stands in."
  value       = var.aws_region
}

output "aws_account_id" {
  description = "Account that everything stands in."
  value       = data.aws_caller_identity.current.account_id
}

output "raw_bucket_name" {
  description = "Upload DICOM objects here."
  value       = module.objects.bucket_names.raw
}

output "processed_bucket_name" {
  description = "De-identified objects appear here."
  value       = module.objects.bucket_names.processed
}

output "logs_bucket_name" {
  description = "Access logs of the other buckets."
  value       = module.objects.bucket_names.logs
}

output "tiles_bucket_name" {
  description = "The published log (C2SP tlog-tiles)."
  value       = module.ledger.bucket_names.tiles
}

output "audit_bucket_name" {
  description = "The locked bucket: every checkpoint, and full tiles."
  value       = module.ledger.bucket_names.audit
}

output "processed_key_layout" {
  description = "uid or mirror."
  value       = var.processed_key_layout
}

output "state_machine_arn" {
  description = "The workflow."
  value       = module.pipeline.state_machine_arn
}

output "ingestion_function_name" {
  description = "Function of the step ingestion."
  value       = module.pipeline.function_names["ingestion"]
}

output "validation_function_name" {
  description = "Function of the step validation."
  value       = module.pipeline.function_names["validation"]
}

output "deidentification_function_name" {
  description = "Function of the step deidentification."
  value       = module.pipeline.function_names["deidentification"]
}

output "delivery_function_name" {
  description = "Function of the step delivery."
  value       = module.pipeline.function_names["delivery"]
}

output "function_names" {
  description = "Every function, by its word."
  value       = module.pipeline.function_names
}

output "log_group_names" {
  description = "Log group of every function, by its word, and of the workflow."
  value       = module.pipeline.log_group_names
}

output "event_bus_name" {
  description = "Bus of the domain events."
  value       = module.pipeline.event_bus_name
}

output "event_archive_name" {
  description = "Archive of the bus."
  value       = module.pipeline.event_archive_name
}

output "queue_names" {
  description = "Queues for what could not be handled."
  value       = module.pipeline.queue_names
}

output "table_names" {
  description = "Tables, by their word."
  value       = { for key, table in merge(module.ledger.tables, { sources = module.objects.sources_table }) : key => table.name }
}

output "ledger_day_index_name" {
  description = "The ledger's index of streams by day."
  value       = local.tables.ledger_day_index.name
}

output "signing_key_arn" {
  description = "KMS key that signs checkpoints."
  value       = module.ledger.key_arns.signing
}

output "secret_names" {
  description = "Secrets, by the name of the key that each holds. Their values are in no output and no state."
  value       = module.ledger.secret_names
}

output "auditor_role_arn" {
  description = "Role for `medimg verify --aws`: reads the ledger and what proves it."
  value       = module.ledger.auditor_role_arn
}

output "notifications_topic_arn" {
  description = "Topic that tells of quarantined objects, failures and complete studies."
  value       = module.pipeline.notifications_topic_arn
}

output "alarms_topic_arn" {
  description = "Topic that tells of alarms."
  value       = module.observability.alarms_topic_arn
}

output "dashboard_name" {
  description = "Dashboard in CloudWatch."
  value       = module.observability.dashboard_name
}
