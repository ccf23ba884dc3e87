# One role per function. `grants` names each thing that can be done, with its actions and resources; `granted` is who may do what.
# Beyond that a function writes its own log and its traces, and whoever touches the ledger is denied to change or delete.

locals {
  raw       = var.bucket_arns.raw
  processed = var.bucket_arns.processed
  tiles     = var.bucket_arns.tiles
  audit     = var.bucket_arns.audit

  grants = {
    # --- Ledger. Put and read, no more: a decision is put under a condition, and a stream is read by its key.
    ledger_append = { actions = ["dynamodb:PutItem", "dynamodb:Query"], resources = [var.tables.ledger.arn], via = "" }
    ledger_read   = { actions = ["dynamodb:Query"], resources = [var.tables.ledger.arn], via = "" }
    ledger_days   = { actions = ["dynamodb:Query"], resources = [var.day_index_arn], via = "" }
    head_read     = { actions = ["dynamodb:GetItem"], resources = [var.tables.head.arn], via = "" }
    head_swap     = { actions = ["dynamodb:GetItem", "dynamodb:PutItem"], resources = [var.tables.head.arn], via = "" }
    seal_read     = { actions = ["dynamodb:BatchGetItem", "dynamodb:GetItem"], resources = [var.tables.seal.arn], via = "" }
    seal_write = {
      actions   = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
      resources = [var.tables.seal.arn], via = ""
    }
    views_read = { actions = ["dynamodb:GetItem", "dynamodb:Query"], resources = [var.tables.views.arn], via = "" }
    views_write = {
      actions = [
        "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query",
        "dynamodb:UpdateItem",
      ]
      resources = [var.tables.views.arn], via = ""
    }
    cursor = {
      actions   = ["dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem"]
      resources = [var.tables.cursors.arn], via = ""
    }
    audit_tables_key = {
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
      resources = [var.key_arns.audit], via = "dynamodb"
    }

    # --- Where objects lie.
    sources_read  = { actions = ["dynamodb:GetItem"], resources = [var.tables.sources.arn], via = "" }
    sources_write = { actions = ["dynamodb:GetItem", "dynamodb:PutItem"], resources = [var.tables.sources.arn], via = "" }
    sources_key = {
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
      resources = [var.key_arns.raw], via = "dynamodb"
    }

    # --- Objects. Keys are not known beforehand, so all objects of the one bucket are meant.
    raw_read = { actions = ["s3:GetObject", "s3:GetObjectVersion"], resources = ["${local.raw}/*"], via = "" }
    # Without it S3 says "forbidden" of an object that is gone.
    raw_see  = { actions = ["s3:ListBucket"], resources = [local.raw], via = "" }
    raw_list = { actions = ["s3:ListBucket", "s3:ListBucketVersions"], resources = [local.raw], via = "" }
    raw_key  = { actions = ["kms:Decrypt"], resources = [var.key_arns.raw], via = "s3" }
    processed_write = {
      actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      resources = ["${local.processed}/*"], via = ""
    }
    processed_read = { actions = ["s3:GetObject"], resources = ["${local.processed}/*"], via = "" }
    processed_see  = { actions = ["s3:ListBucket"], resources = [local.processed], via = "" }
    processed_key  = { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.key_arns.processed], via = "s3" }

    # --- The published log.
    tiles_read  = { actions = ["s3:GetObject"], resources = ["${local.tiles}/*"], via = "" }
    tiles_write = { actions = ["s3:GetObject", "s3:PutObject"], resources = ["${local.tiles}/*"], via = "" }
    # What a full tile or a later bundle has made needless: partial tiles and staged bundles, nothing else.
    tiles_tidy   = { actions = ["s3:DeleteObject"], resources = ["${local.tiles}/*.p/*", "${local.tiles}/staged/*"], via = "" }
    tiles_see    = { actions = ["s3:ListBucket"], resources = [local.tiles], via = "" }
    audit_read   = { actions = ["s3:GetObject"], resources = ["${local.audit}/*"], via = "" }
    audit_write  = { actions = ["s3:GetObject", "s3:PutObject"], resources = ["${local.audit}/*"], via = "" }
    audit_see    = { actions = ["s3:ListBucket"], resources = [local.audit], via = "" }
    audit_s3_key = { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.key_arns.audit], via = "s3" }
    # Bodies of entries that are too long for a row; named by their hash, and locked like what proves them.
    bodies_append = { actions = ["s3:GetObject", "s3:PutObject"], resources = ["${local.audit}/bodies/*"], via = "" }
    bodies_read   = { actions = ["s3:GetObject"], resources = ["${local.audit}/bodies/*"], via = "" }
    sign          = { actions = ["kms:GetPublicKey", "kms:Sign"], resources = [var.key_arns.signing], via = "" }
    read_verifier = { actions = ["kms:GetPublicKey"], resources = [var.key_arns.signing], via = "" }

    # --- Keys of ids, tags and pseudonyms.
    stream_key  = { actions = ["secretsmanager:GetSecretValue"], resources = [var.secret_arns["stream"]], via = "" }
    index_key   = { actions = ["secretsmanager:GetSecretValue"], resources = [var.secret_arns["index.v1"]], via = "" }
    mapping_key = { actions = ["secretsmanager:GetSecretValue"], resources = [var.secret_arns["mapping"]], via = "" }
    secrets_key = { actions = ["kms:Decrypt"], resources = [var.key_arns.secrets], via = "secretsmanager" }

    # --- Bus and workflow.
    bus_put        = { actions = ["events:PutEvents"], resources = [aws_cloudwatch_event_bus.this.arn], via = "" }
    start_workflow = { actions = ["states:StartExecution"], resources = [local.state_machine_arn], via = "" }
  }

  # Sets that always go together.
  append        = ["ledger_append", "audit_tables_key", "bodies_append", "audit_s3_key"]
  read_source   = ["sources_read", "sources_key", "raw_read", "raw_see", "raw_key", "stream_key", "secrets_key"]
  write_output  = ["processed_write", "processed_see", "processed_key", "mapping_key", "index_key"]
  read_log      = ["ledger_read", "head_read", "tiles_read", "tiles_see", "bodies_read", "audit_s3_key", "audit_tables_key"]
  publish_log   = ["tiles_write", "tiles_tidy", "tiles_see", "audit_write", "audit_see", "audit_s3_key", "sign"]
  record_source = ["sources_write", "sources_key", "raw_read", "raw_see", "raw_key", "stream_key", "secrets_key"]

  granted = {
    intake           = concat(local.append, local.record_source)
    ingestion        = concat(local.append, local.read_source, ["index_key"])
    validation       = concat(local.append, local.read_source)
    deidentification = concat(local.append, local.read_source, local.write_output)
    # It may have to make the bytes of a small object again: they are deterministic.
    delivery       = concat(local.append, local.read_source, local.write_output, ["views_read"])
    quarantine     = local.append
    record-failure = local.append
    sealer         = concat(local.append, local.publish_log, ["ledger_days", "head_swap", "seal_write", "stream_key", "secrets_key"])
    relay          = concat(local.read_log, ["cursor", "bus_put"])
    projector      = concat(local.read_log, ["cursor", "views_write"])
    # It receives what intake missed, starts again what stopped, and writes the streams of studies.
    sweeper = concat(local.append, local.record_source, [
      "index_key", "ledger_days", "raw_list", "views_read", "start_workflow",
    ])
    # It writes one thing, its verdict, into a stream of its own.
    verifier = concat(local.read_log, [
      "ledger_append", "ledger_days", "seal_read", "audit_read", "audit_see", "read_verifier", "processed_read", "processed_see",
      "processed_key", "stream_key", "secrets_key",
    ])
    replay = concat(local.append, local.read_source, ["index_key", "views_read", "ledger_days"])
  }
}

data "aws_iam_policy_document" "function_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "function" {
  for_each = var.functions
  dynamic "statement" {
    for_each = { for grant in toset(local.granted[each.key]) : grant => local.grants[grant] }
    content {
      sid       = replace(title(replace(statement.key, "_", " ")), " ", "")
      actions   = statement.value.actions
      resources = statement.value.resources
      dynamic "condition" {
        for_each = statement.value.via == "" ? [] : [statement.value.via]
        content {
          test     = "StringEquals"
          variable = "kms:ViaService"
          values   = ["${condition.value}.${local.region}.amazonaws.com"]
        }
      }
    }
  }
  # The ledger's own policy says the same to everyone; here it stands where a role is read.
  statement {
    sid       = "DenyLedgerChangeAndDelete"
    effect    = "Deny"
    actions   = var.write_once_denied_actions
    resources = [var.tables.ledger.arn, "${var.tables.ledger.arn}/index/*"] # Every index, also one that is added later.
  }
  dynamic "statement" {
    for_each = { for stream in compact([lookup(local.stream_of, each.key, "")]) : stream => var.stream_arns[stream] }
    content {
      sid       = "ReadWakeUps"
      actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
      resources = [statement.value]
    }
  }
  dynamic "statement" {
    for_each = contains(keys(local.with_queue), each.key) ? { queue = aws_sqs_queue.function[each.key].arn } : {}
    content {
      sid       = "KeepWhatFailed"
      actions   = ["sqs:SendMessage"]
      resources = [statement.value]
    }
  }
  dynamic "statement" {
    for_each = contains(keys(local.with_queue), each.key) ? { key = aws_sqs_queue.function[each.key].kms_master_key_id } : {}
    content {
      sid       = "EncryptWhatFailed"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sqs.${local.region}.amazonaws.com"]
      }
    }
  }
  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function[each.key].arn}:*"] # All streams of its own group.
  }
  statement {
    sid       = "WriteTraces"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"] # These actions know no resources.
  }
}

resource "aws_iam_role" "function" {
  for_each           = var.functions
  name               = "${var.name}-${each.key}"
  description        = each.value.description
  assume_role_policy = data.aws_iam_policy_document.function_trust.json
}

resource "aws_iam_role_policy" "function" {
  for_each = var.functions
  name     = "work"
  role     = aws_iam_role.function[each.key].id
  policy   = data.aws_iam_policy_document.function[each.key].json
}
