# The state machine, from upload.asl.json. STANDARD: its longest way takes hours, and its executions can be listed.

resource "aws_cloudwatch_log_group" "workflow" {
  #checkov:skip=CKV_AWS_338:The audit trail is the ledger; logs are for operators, and log_retention_days says how long.
  name              = "/aws/vendedlogs/states/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.operations.arn
}

data "aws_iam_policy_document" "workflow_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "workflow" {
  statement {
    sid       = "InvokeSteps"
    actions   = ["lambda:InvokeFunction"]
    resources = [for name, function in aws_lambda_function.this : function.arn if contains(var.functions[name].woken_by, "workflow")]
  }
  statement {
    sid = "DeliverLogs"
    actions = [
      "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
    ]
    resources = ["*"] # These actions know no resources.
  }
  statement {
    sid       = "WriteTraces"
    actions   = ["xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"] # These actions know no resources.
  }
}

resource "aws_iam_role" "workflow" {
  name               = "${var.name}-workflow"
  description        = "The state machine runs with it: it may invoke the steps' functions."
  assume_role_policy = data.aws_iam_policy_document.workflow_trust.json
}

resource "aws_iam_role_policy" "workflow" {
  name   = "invoke"
  role   = aws_iam_role.workflow.id
  policy = data.aws_iam_policy_document.workflow.json
}

resource "aws_sfn_state_machine" "this" {
  #checkov:skip=CKV_AWS_285:Errors are logged without execution data: inputs and outputs hold the stream id and nothing else anybody needs.
  name     = var.state_machine_name
  role_arn = aws_iam_role.workflow.arn
  type     = "STANDARD"
  definition = templatefile(var.state_machine_file, {
    for name, function in aws_lambda_function.this : "${replace(name, "-", "_")}_function_arn" => function.arn
  })
  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.workflow.arn}:*" # All streams of the group, as the service asks for it.
  }
  tracing_configuration {
    enabled = true
  }
  depends_on = [aws_iam_role_policy.workflow]
}
