# The AWS half of the pipeline. objects: where objects lie. ledger: the audit store. pipeline: functions, bus, workflow.
# observability: alarms and dashboard. The order of the work stands in none of them: it is read from the rendered files.

data "aws_caller_identity" "current" {}

locals {
  name      = "${var.project_name}-${var.environment}"
  functions = jsondecode(file("${path.module}/functions.json"))
  rules     = jsondecode(file("${path.module}/rules.json"))
  tables    = jsondecode(file("${path.module}/tables.json"))
  # null: the account id. Empty: nothing, so that the names are exactly as written below.
  suffix_word = var.bucket_suffix == null ? data.aws_caller_identity.current.account_id : var.bucket_suffix
  suffix      = local.suffix_word == "" ? "" : "-${local.suffix_word}"
  bucket_names = {
    raw       = coalesce(var.raw_bucket_name, "${local.name}-raw-dicom${local.suffix}")
    processed = coalesce(var.processed_bucket_name, "${local.name}-processed-dicom${local.suffix}")
    logs      = coalesce(var.logs_bucket_name, "${local.name}-logs${local.suffix}")
    tiles     = coalesce(var.tiles_bucket_name, "${local.name}-tiles${local.suffix}")
    audit     = coalesce(var.audit_bucket_name, "${local.name}-audit${local.suffix}")
  }
  # The ledger is written by single puts and read by queries of one stream. Whatever changes, deletes or goes around that is denied.
  write_once_denied_actions = [
    "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert", "dynamodb:PartiQLSelect",
    "dynamodb:PartiQLUpdate", "dynamodb:UpdateItem",
  ]
  metrics_namespace = "medimg/${local.name}"
}

module "objects" {
  source                    = "./modules/objects"
  name                      = local.name
  raw_bucket_name           = local.bucket_names.raw
  processed_bucket_name     = local.bucket_names.processed
  logs_bucket_name          = local.bucket_names.logs
  enable_s3_encryption      = var.enable_s3_encryption
  raw_transition_days       = var.raw_transition_days
  raw_noncurrent_days       = var.raw_noncurrent_days
  access_log_retention_days = var.access_log_retention_days
  key_deletion_days         = var.key_deletion_days
  deletion_protection       = var.deletion_protection
  sources_table_keys        = local.tables.tables.sources
}

module "ledger" {
  source                    = "./modules/ledger"
  name                      = local.name
  tiles_bucket_name         = local.bucket_names.tiles
  audit_bucket_name         = local.bucket_names.audit
  logs_bucket_name          = module.objects.bucket_names.logs
  audit_lock_mode           = var.audit_lock_mode
  audit_lock_days           = var.audit_lock_days
  deletion_protection       = var.deletion_protection
  key_deletion_days         = var.key_deletion_days
  secret_recovery_days      = var.secret_recovery_days
  tables                    = local.tables.tables
  ledger_day_index          = local.tables.ledger_day_index
  write_once_denied_actions = local.write_once_denied_actions
  auditor_principal_arns    = var.auditor_principal_arns
}

module "pipeline" {
  source                    = "./modules/pipeline"
  name                      = local.name
  project_name              = var.project_name
  environment               = var.environment
  functions                 = local.functions.functions
  rule_source               = local.rules.source
  rules                     = [for rule in local.rules.rules : merge(rule, { event_pattern = jsonencode(rule.event_pattern) })]
  state_machine_name        = "dicom-processing-workflow-${var.environment}"
  state_machine_file        = "${path.module}/upload.asl.json"
  lambda_package            = var.lambda_package
  lambda_architecture       = var.lambda_architecture
  lambda_memory_size        = var.lambda_memory_size
  lambda_timeout            = var.lambda_timeout
  log_level                 = var.log_level
  log_retention_days        = var.log_retention_days
  archive_retention_days    = var.archive_retention_days
  processed_key_layout      = var.processed_key_layout
  study_idle_minutes        = var.study_idle_minutes
  metrics_namespace         = local.metrics_namespace
  notification_emails       = var.notification_emails
  key_deletion_days         = var.key_deletion_days
  bucket_names              = merge(module.objects.bucket_names, module.ledger.bucket_names)
  bucket_arns               = merge(module.objects.bucket_arns, module.ledger.bucket_arns)
  tables                    = merge(module.ledger.tables, { sources = module.objects.sources_table })
  stream_arns               = module.ledger.stream_arns
  day_index_arn             = module.ledger.day_index_arn
  ledger_day_index_name     = local.tables.ledger_day_index.name
  key_arns                  = merge(module.objects.key_arns, module.ledger.key_arns)
  secret_arns               = module.ledger.secret_arns
  secret_names              = module.ledger.secret_names
  write_once_denied_actions = local.write_once_denied_actions
}

module "observability" {
  source                     = "./modules/observability"
  name                       = local.name
  function_names             = module.pipeline.function_names
  step_functions             = [for name, function in local.functions.functions : name if contains(function.woken_by, "workflow")]
  stream_functions           = module.pipeline.stream_functions
  queue_names                = module.pipeline.queue_names
  state_machine_arn          = module.pipeline.state_machine_arn
  ledger_table_name          = module.ledger.tables.ledger.name
  metrics_namespace          = local.metrics_namespace
  metrics                    = local.functions.metrics
  unsealed_age_alarm_seconds = var.unsealed_age_alarm_seconds
  operations_key_arn         = module.pipeline.operations_key_arn
  notification_emails        = var.notification_emails
}
