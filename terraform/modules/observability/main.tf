# Who is called when: one alarm for each thing that a person must look at, and a dashboard that shows the same figures.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.operations_key_arn
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "AlarmsMayPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "*" # Everyone is denied, so everyone is named.
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = toset(var.notification_emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# --- Functions ------------------------------------------------------------------------------------------------------------------

# A rejection is an answer of a step to the state machine, by way of an error: so these functions count errors that are none, and the
# alarm asks for many. What is really broken ends in a failed execution, which has an alarm of its own.
resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each            = var.function_names
  alarm_name          = "${each.value}-errors"
  alarm_description   = "Runs of ${each.value} fail."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = contains(var.step_functions, each.key) ? 25 : 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  for_each            = var.function_names
  alarm_name          = "${each.value}-throttles"
  alarm_description   = "${each.value} is refused: the account's limit of functions running at once is reached."
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "iterator_age" {
  for_each            = toset(var.stream_functions)
  alarm_name          = "${var.function_names[each.key]}-iterator-age"
  alarm_description   = "${var.function_names[each.key]} does not keep up with its stream."
  namespace           = "AWS/Lambda"
  metric_name         = "IteratorAge"
  dimensions          = { FunctionName = var.function_names[each.key] }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  threshold           = 300000
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# --- Queues and workflow ----------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each            = var.queue_names
  alarm_name          = "${each.value}-depth"
  alarm_description   = "Something could not be handled and waits in ${each.value}."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "executions" {
  for_each            = toset(["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled"])
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Of the state machine's executions: ${each.key}."
  namespace           = "AWS/States"
  metric_name         = each.key
  dimensions          = { StateMachineArn = var.state_machine_arn }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# --- Ledger -----------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_metric_alarm" "unsealed_age" {
  alarm_name          = "${var.name}-unsealed-age"
  alarm_description   = "Entries wait for their place in the tree, or the sealer tells nothing."
  namespace           = var.metrics_namespace
  metric_name         = var.metrics.unsealed_age
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = var.unsealed_age_alarm_seconds
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching" # The sealer tells its figure every minute: silence is a failure.
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "verification_failed" {
  alarm_name          = "${var.name}-verification-failed"
  alarm_description   = "The ledger does not verify: stop, and call the person responsible."
  namespace           = var.metrics_namespace
  metric_name         = var.metrics.verification_failed
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "ignore" # It is verified once a day: the verdict stands until the next one.
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# --- Dashboard --------------------------------------------------------------------------------------------------------------------

locals {
  region            = data.aws_region.current.region
  execution_metrics = ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut"]
  widgets = [
    {
      title   = "Executions"
      metrics = [for metric in local.execution_metrics : ["AWS/States", metric, "StateMachineArn", var.state_machine_arn]]
      stat    = "Sum"
    },
    {
      title   = "Errors of functions"
      metrics = [for name in values(var.function_names) : ["AWS/Lambda", "Errors", "FunctionName", name]]
      stat    = "Sum"
    },
    {
      title   = "Runs of functions"
      metrics = [for name in values(var.function_names) : ["AWS/Lambda", "Invocations", "FunctionName", name]]
      stat    = "Sum"
    },
    {
      title   = "Time of functions, 95 of 100 within (ms)"
      metrics = [for name in values(var.function_names) : ["AWS/Lambda", "Duration", "FunctionName", name]]
      stat    = "p95"
    },
    {
      title   = "Not handled"
      metrics = [for name in values(var.queue_names) : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name]]
      stat    = "Maximum"
    },
    {
      title   = "Streams: age of the oldest record (ms)"
      metrics = [for name in var.stream_functions : ["AWS/Lambda", "IteratorAge", "FunctionName", var.function_names[name]]]
      stat    = "Maximum"
    },
    {
      title   = "Ledger"
      metrics = [for metric in values(var.metrics) : [var.metrics_namespace, metric]]
      stat    = "Maximum"
    },
    {
      title   = "Ledger table: refused for speed"
      metrics = [for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] : ["AWS/DynamoDB", metric, "TableName", var.ledger_table_name]]
      stat    = "Sum"
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, widget in local.widgets : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = widget.title
        metrics = widget.metrics
        stat    = widget.stat
        period  = 300
        region  = local.region
        view    = "timeSeries"
      }
    }]
  })
}
