# The functions: one program, one zip, one row of functions.json and one role each.

locals {
  # The same for all; what a function may do with it is its role's to say. No secret stands here, only where secrets are.
  environment = merge(
    {
      MEDIMG_PROJECT              = var.project_name
      MEDIMG_ENVIRONMENT          = var.environment
      MEDIMG_LOG                  = var.log_level
      MEDIMG_BUS                  = aws_cloudwatch_event_bus.this.name
      MEDIMG_STATE_MACHINE_ARN    = local.state_machine_arn
      MEDIMG_SIGNING_KEY          = var.key_arns.signing
      MEDIMG_INDEX_LEDGER_DAY     = var.ledger_day_index_name
      MEDIMG_PROCESSED_KEY_LAYOUT = var.processed_key_layout
      MEDIMG_STUDY_IDLE_MS        = tostring(var.study_idle_minutes * 60000)
      MEDIMG_METRICS_NAMESPACE    = var.metrics_namespace
    },
    { for key, name in var.bucket_names : "MEDIMG_BUCKET_${upper(key)}" => name if key != "logs" },
    { for key, table in var.tables : "MEDIMG_TABLE_${upper(key)}" => table.name },
    { for key, name in var.secret_names : "MEDIMG_SECRET_${upper(replace(key, ".", "_"))}" => name },
  )
  # The machine's name is known before it stands; its own attribute would make a circle with the functions that it invokes.
  state_machine_arn = "arn:${local.partition}:states:${local.region}:${local.account}:stateMachine:${var.state_machine_name}"
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_338:The audit trail is the ledger; logs are for operators, and log_retention_days says how long.
  for_each          = var.functions
  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.operations.arn
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115:A reserved share would be taken from an account's other functions; the sources limit how many run.
  #checkov:skip=CKV_AWS_116:Who is not waited for has a queue for failures (event_invoke_config); who is waited for answers.
  #checkov:skip=CKV_AWS_117:It speaks to AWS services only, over TLS; a VPC would add endpoints and protect nothing that IAM does not.
  #checkov:skip=CKV_AWS_173:The environment holds names, no secret; it is encrypted with the service's key.
  #checkov:skip=CKV_AWS_272:The release's attestation is checked by whoever deploys; the function is made of that zip, by its hash.
  for_each         = var.functions
  function_name    = "${var.name}-${each.key}"
  description      = each.value.description
  role             = aws_iam_role.function[each.key].arn
  runtime          = "provided.al2023"
  architectures    = [var.lambda_architecture]
  handler          = each.key # The program reads it as its task.
  filename         = var.lambda_package
  source_code_hash = filebase64sha256(var.lambda_package)
  memory_size      = var.lambda_memory_size
  timeout          = each.value.long_running ? each.value.timeout_s : min(each.value.timeout_s, var.lambda_timeout)
  environment {
    variables = local.environment
  }
  tracing_config {
    mode = "Active"
  }
  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
}

# --- What wakes them, beside the workflow and the rules ---------------------------------------------------------------------------

resource "aws_lambda_event_source_mapping" "stream" {
  for_each                           = local.stream_of
  event_source_arn                   = var.stream_arns[each.value]
  function_name                      = aws_lambda_function.this[each.key].arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 100
  maximum_batching_window_in_seconds = 1
  parallelization_factor             = 1
  # A record is a wake-up: it is worth little once it is old, and the clock wakes the function as well.
  maximum_record_age_in_seconds  = 3600
  maximum_retry_attempts         = 5
  bisect_batch_on_function_error = true
  function_response_types        = ["ReportBatchItemFailures"]
  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.function[each.key].arn
    }
  }
}

# A failed run that nobody waits for is tried twice more and then kept.
resource "aws_lambda_function_event_invoke_config" "this" {
  for_each                     = local.with_queue
  function_name                = aws_lambda_function.this[each.key].function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600
  destination_config {
    on_failure {
      destination = aws_sqs_queue.function[each.key].arn
    }
  }
}
