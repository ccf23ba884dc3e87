# What the parts of the pipeline share: the key of everything that holds no PHI and is no audit record, the queues for what could not
# be handled, and the topic that tells people.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  # Functions that are woken by something that does not wait for their answer have a queue for what they could not do.
  with_queue = {
    for name, function in var.functions : name => function
    if length(setintersection(function.woken_by, ["upload", "schedule", "ledger_stream", "head_stream"])) > 0
  }
  stream_of = {
    for name, function in var.functions : name => contains(function.woken_by, "ledger_stream") ? "ledger" : "head"
    if length(setintersection(function.woken_by, ["ledger_stream", "head_stream"])) > 0
  }
  uploads = [for name, function in var.functions : name if contains(function.woken_by, "upload")]
  timed   = { for name, function in var.functions : name => function.every_minutes if contains(function.woken_by, "schedule") }
}

# --- Key ------------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "operations_key" {
  #checkov:skip=CKV_AWS_109:A key's policy is about this key alone; the account's own IAM decides who of the account may use it.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:In a key's policy the resource `*` means this key.
  statement {
    sid       = "AccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"] # In a key's policy this is the key itself. Without this statement nobody could ever change the key.
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }
  statement {
    sid       = "ServicesMayUseItForThisAccount"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:ReEncrypt*"] # Each with its variants of one purpose.
    resources = ["*"]                                                                        # This key.
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "cloudwatch.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
  statement {
    sid       = "CloudWatchLogsMayUseItForOurGroups"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"] # This key.
    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:*${var.name}*"] # Ours have the name in theirs.
    }
  }
}

resource "aws_kms_key" "operations" {
  description             = "${var.name}: bus, queues, notifications and logs (no PHI)"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_days
  policy                  = data.aws_iam_policy_document.operations_key.json
}

resource "aws_kms_alias" "operations" {
  name          = "alias/${var.name}-operations"
  target_key_id = aws_kms_key.operations.key_id
}

# --- Queues ---------------------------------------------------------------------------------------------------------------------

# What a function could not do, after all retries. That of intake holds the event of S3, which names the object's key: it is under the
# key of raw objects and keeps it no longer than it takes a person to look; the sweeper finds the object anyway.
resource "aws_sqs_queue" "function" {
  for_each                  = local.with_queue
  name                      = "${var.name}-${each.key}-dlq"
  kms_master_key_id         = contains(local.uploads, each.key) ? var.key_arns.raw : aws_kms_key.operations.arn
  message_retention_seconds = contains(local.uploads, each.key) ? 345600 : 1209600
}

# Events that did not reach the target of their rule.
resource "aws_sqs_queue" "rules" {
  name                      = "${var.name}-rules-dlq"
  kms_master_key_id         = aws_kms_key.operations.arn
  message_retention_seconds = 1209600
}

locals {
  # Which rules may put what into which queue.
  senders = merge(
    {
      for name in keys(local.with_queue) : name => {
        queue = aws_sqs_queue.function[name]
        rules = compact([
          contains(local.uploads, name) ? aws_cloudwatch_event_rule.upload.arn : "",
          contains(keys(local.timed), name) ? aws_cloudwatch_event_rule.schedule[name].arn : "",
        ])
      }
    },
    {
      rules = {
        queue = aws_sqs_queue.rules
        rules = concat([for rule in aws_cloudwatch_event_rule.workflow : rule.arn], [aws_cloudwatch_event_bus.this.arn])
      }
    },
  )
}

data "aws_iam_policy_document" "queue" {
  for_each = local.senders
  statement {
    sid       = "EventBridgeMaySend"
    actions   = ["sqs:SendMessage"]
    resources = [each.value.queue.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = each.value.rules
    }
  }
  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["sqs:*"] # Whatever it is: nothing goes over the wire in the clear.
    resources = [each.value.queue.arn]
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

resource "aws_sqs_queue_policy" "this" {
  for_each  = local.senders
  queue_url = each.value.queue.url
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

# --- Notifications --------------------------------------------------------------------------------------------------------------

# A message is the stream's id, the event's type and its time: nothing that names a patient.
resource "aws_sns_topic" "notifications" {
  name              = "${var.name}-notifications"
  kms_master_key_id = aws_kms_key.operations.arn
}

data "aws_iam_policy_document" "notifications" {
  statement {
    sid       = "RulesMayPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.notifications.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for name, rule in aws_cloudwatch_event_rule.workflow : rule.arn if local.rules[name].target.kind == "notification"]
    }
  }
  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.notifications.arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic_policy" "notifications" {
  arn    = aws_sns_topic.notifications.arn
  policy = data.aws_iam_policy_document.notifications.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = toset(var.notification_emails)
  topic_arn = aws_sns_topic.notifications.arn
  protocol  = "email"
  endpoint  = each.value
}
