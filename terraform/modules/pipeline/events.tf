# The bus and its rules, made from rules.json; the rule for uploads on the account's own bus; and the clock.

locals {
  rules = { for rule in var.rules : rule.name => rule }
}

resource "aws_cloudwatch_event_bus" "this" {
  name               = "${var.name}-bus"
  description        = "Domain events of the pipeline, put by the relay alone."
  kms_key_identifier = aws_kms_key.operations.arn
  dead_letter_config {
    arn = aws_sqs_queue.rules.arn
  }
}

resource "aws_cloudwatch_event_archive" "this" {
  name             = "${var.name}-archive"
  description      = "Every event of the bus, for a replay of the bus."
  event_source_arn = aws_cloudwatch_event_bus.this.arn
  event_pattern    = jsonencode({ source = [var.rule_source] })
  retention_days   = var.archive_retention_days
}

# --- What starts or resumes the workflow, or tells a person ----------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "workflow" {
  for_each       = local.rules
  name           = "${var.name}-${each.key}"
  description    = each.value.description
  event_bus_name = aws_cloudwatch_event_bus.this.name
  event_pattern  = each.value.event_pattern
  state          = each.value.enabled ? "ENABLED" : "DISABLED"
}

resource "aws_cloudwatch_event_target" "workflow" {
  for_each       = local.rules
  rule           = aws_cloudwatch_event_rule.workflow[each.key].name
  event_bus_name = aws_cloudwatch_event_bus.this.name
  target_id      = each.value.target.kind
  arn            = each.value.target.kind == "workflow" ? aws_sfn_state_machine.this.arn : aws_sns_topic.notifications.arn
  role_arn       = each.value.target.kind == "workflow" ? aws_iam_role.start.arn : null
  input_transformer {
    input_paths    = each.value.target.input_paths
    input_template = each.value.target.input_template
  }
  retry_policy {
    maximum_event_age_in_seconds = each.value.retry_policy.maximum_event_age_in_seconds
    maximum_retry_attempts       = each.value.retry_policy.maximum_retry_attempts
  }
  dead_letter_config {
    arn = aws_sqs_queue.rules.arn
  }
}

data "aws_iam_policy_document" "start_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "start" {
  statement {
    sid       = "StartWorkflow"
    actions   = ["states:StartExecution"]
    resources = [aws_sfn_state_machine.this.arn]
  }
}

resource "aws_iam_role" "start" {
  name               = "${var.name}-start-workflow"
  description        = "Rules of the bus start the workflow with it."
  assume_role_policy = data.aws_iam_policy_document.start_trust.json
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.start.json
}

# --- Uploads --------------------------------------------------------------------------------------------------------------------

# S3 tells the account's own bus. The event names the object's key, so it goes to the function directly and through no queue.
resource "aws_cloudwatch_event_rule" "upload" {
  name        = "${var.name}-upload"
  description = "An object version appeared in the raw bucket: pin it."
  event_pattern = jsonencode({
    source        = ["aws.s3"]
    "detail-type" = ["Object Created"]
    detail        = { bucket = { name = [var.bucket_names.raw] } }
  })
}

resource "aws_cloudwatch_event_target" "upload" {
  for_each  = toset(local.uploads)
  rule      = aws_cloudwatch_event_rule.upload.name
  target_id = each.key
  arn       = aws_lambda_function.this[each.key].arn
  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
  dead_letter_config {
    arn = aws_sqs_queue.function[each.key].arn
  }
}

resource "aws_lambda_permission" "upload" {
  for_each      = toset(local.uploads)
  statement_id  = "upload"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.upload.arn
}

# --- The clock ------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "schedule" {
  for_each            = local.timed
  name                = "${var.name}-every-${each.key}"
  description         = var.functions[each.key].description
  schedule_expression = each.value == 1 ? "rate(1 minute)" : "rate(${each.value} minutes)"
}

resource "aws_cloudwatch_event_target" "schedule" {
  for_each  = local.timed
  rule      = aws_cloudwatch_event_rule.schedule[each.key].name
  target_id = each.key
  arn       = aws_lambda_function.this[each.key].arn
  input     = jsonencode({ woken_by = "schedule" })
  # The next tick does what this one could not.
  retry_policy {
    maximum_event_age_in_seconds = 600
    maximum_retry_attempts       = 3
  }
  dead_letter_config {
    arn = aws_sqs_queue.function[each.key].arn
  }
}

resource "aws_lambda_permission" "schedule" {
  for_each      = local.timed
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule[each.key].arn
}
