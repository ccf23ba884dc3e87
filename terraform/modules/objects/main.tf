# Where objects lie: raw (as uploaded), processed (de-identified), and the access logs of both and of the audit store.
# The table `sources` (which object a stream is about) holds the keys of raw objects and is of their data class.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  # Each bucket with what its policy and its settings differ in. The logs of access to raw objects name their keys, so this bucket
  # is as confidential as the raw one; S3 can deliver them only into a bucket with its own key.
  buckets = {
    raw       = { name = var.raw_bucket_name, key_arn = aws_kms_key.raw.arn, kms = var.enable_s3_encryption }
    processed = { name = var.processed_bucket_name, key_arn = aws_kms_key.processed.arn, kms = var.enable_s3_encryption }
    logs      = { name = var.logs_bucket_name, key_arn = null, kms = false }
  }
}

# --- Keys: one per data class ---------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "raw_key" {
  #checkov:skip=CKV_AWS_109:A key's policy is about this key alone; the account's own IAM decides who of the account may use it.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:In a key's policy the resource `*` means this key.
  statement {
    sid       = "AccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"] # In a key's policy this is the key itself. Without this statement nobody could ever change the key.
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${local.account}:root"]
    }
  }
  statement {
    # An upload that did not reach intake waits in a queue under this key, because its event holds the object's key.
    sid       = "EventBridgeMayFillTheDeadLetterQueue"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"] # This key.
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

resource "aws_kms_key" "raw" {
  description             = "${var.name}: raw objects and where they lie (PHI)"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_days
  policy                  = data.aws_iam_policy_document.raw_key.json
}

resource "aws_kms_alias" "raw" {
  name          = "alias/${var.name}-raw"
  target_key_id = aws_kms_key.raw.key_id
}

data "aws_iam_policy_document" "processed_key" {
  #checkov:skip=CKV_AWS_109:A key's policy is about this key alone; the account's own IAM decides who of the account may use it.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:In a key's policy the resource `*` means this key.
  statement {
    sid       = "AccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"] # This key, as above.
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${local.account}:root"]
    }
  }
}

resource "aws_kms_key" "processed" {
  description             = "${var.name}: processed objects (de-identified)"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_days
  policy                  = data.aws_iam_policy_document.processed_key.json
}

resource "aws_kms_alias" "processed" {
  name          = "alias/${var.name}-processed"
  target_key_id = aws_kms_key.processed.key_id
}

# --- Buckets --------------------------------------------------------------------------------------------------------------------

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:One region; what must outlive it is copied by `medimg backup` and the auditor's checkpoints.
  #checkov:skip=CKV_AWS_145:Raw and processed have keys of their own; access logs are only delivered into a bucket with S3's key.
  #checkov:skip=CKV_AWS_18:Raw and processed are logged into logs, which does not log itself.
  #checkov:skip=CKV2_AWS_61:Each of the three has its lifecycle below; checkov does not see it through for_each.
  #checkov:skip=CKV_AWS_19:All three are encrypted, see below; checkov does not see the condition.
  #checkov:skip=CKV2_AWS_62:The raw bucket tells EventBridge; nobody waits for the others.
  for_each = local.buckets
  bucket   = each.value.name
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = local.buckets
  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id
  rule {
    # One request to KMS for many objects instead of one each.
    bucket_key_enabled = each.value.kms
    apply_server_side_encryption_by_default {
      sse_algorithm     = each.value.kms ? "aws:kms" : "AES256"
      kms_master_key_id = each.value.kms ? each.value.key_arn : null
    }
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each      = toset(["raw", "processed"])
  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "access/${each.key}/"
}

resource "aws_s3_bucket_notification" "raw" {
  bucket      = aws_s3_bucket.this["raw"].id
  eventbridge = true
}

# --- Lifecycle ------------------------------------------------------------------------------------------------------------------

resource "aws_s3_bucket_lifecycle_configuration" "raw" {
  bucket     = aws_s3_bucket.this["raw"].id
  depends_on = [aws_s3_bucket_versioning.this]
  rule {
    id     = "keep-within-reach"
    status = "Enabled"
    filter {}
    # From there an object is read at once: a replay needs no restore.
    transition {
      days          = var.raw_transition_days
      storage_class = "GLACIER_IR"
    }
    # A stream is about one version: overwriting a key must not take the version away while it may be replayed.
    noncurrent_version_expiration {
      noncurrent_days = var.raw_noncurrent_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "processed" {
  bucket     = aws_s3_bucket.this["processed"].id
  depends_on = [aws_s3_bucket_versioning.this]
  rule {
    id     = "stages-and-old-versions"
    status = "Enabled"
    filter {}
    # A stage is an upload that is not completed. One given up is made again from the raw object.
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket     = aws_s3_bucket.this["logs"].id
  depends_on = [aws_s3_bucket_versioning.this]
  rule {
    id     = "expire"
    status = "Enabled"
    filter {}
    expiration {
      days = var.access_log_retention_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 7
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

# --- Policies -------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "bucket" {
  for_each = local.buckets
  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["s3:*"] # Whatever it is: nothing goes over the wire in the clear.
    resources = [aws_s3_bucket.this[each.key].arn, "${aws_s3_bucket.this[each.key].arn}/*"]
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
  statement {
    sid       = "DenyOldTls"
    effect    = "Deny"
    actions   = ["s3:*"] # As above.
    resources = [aws_s3_bucket.this[each.key].arn, "${aws_s3_bucket.this[each.key].arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "NumericLessThan"
      variable = "s3:TlsVersion"
      values   = ["1.2"]
    }
  }
  # A request that says nothing gets the bucket's own encryption; one that asks for another is refused.
  dynamic "statement" {
    for_each = each.value.kms ? { algorithm = "aws:kms" } : {}
    content {
      sid       = "DenyOtherEncryption"
      effect    = "Deny"
      actions   = ["s3:PutObject"]
      resources = ["${aws_s3_bucket.this[each.key].arn}/*"]
      principals {
        type        = "*"
        identifiers = ["*"]
      }
      condition {
        test     = "Null"
        variable = "s3:x-amz-server-side-encryption"
        values   = ["false"]
      }
      condition {
        test     = "StringNotEquals"
        variable = "s3:x-amz-server-side-encryption"
        values   = [statement.value]
      }
    }
  }
  dynamic "statement" {
    for_each = each.value.kms ? { key = each.value.key_arn } : {}
    content {
      sid       = "DenyOtherKey"
      effect    = "Deny"
      actions   = ["s3:PutObject"]
      resources = ["${aws_s3_bucket.this[each.key].arn}/*"]
      principals {
        type        = "*"
        identifiers = ["*"]
      }
      condition {
        test     = "Null"
        variable = "s3:x-amz-server-side-encryption-aws-kms-key-id"
        values   = ["false"]
      }
      condition {
        test     = "ArnNotEquals"
        variable = "s3:x-amz-server-side-encryption-aws-kms-key-id"
        values   = [statement.value]
      }
    }
  }
  # A key of the processed bucket is never replaced: an object is created if nothing is there, or not at all. Parts of a multipart
  # upload create nothing yet.
  dynamic "statement" {
    for_each = each.key == "processed" ? { never = "true" } : {}
    content {
      sid       = "DenyReplacing"
      effect    = "Deny"
      actions   = ["s3:PutObject"]
      resources = ["${aws_s3_bucket.this[each.key].arn}/*"]
      principals {
        type        = "*"
        identifiers = ["*"]
      }
      condition {
        test     = "Null"
        variable = "s3:if-none-match"
        values   = ["true"]
      }
      condition {
        test     = "Bool"
        variable = "s3:ObjectCreationOperation"
        values   = [statement.value]
      }
    }
  }
  dynamic "statement" {
    for_each = each.key == "logs" ? { account = local.account } : {}
    content {
      sid       = "AllowAccessLogs"
      actions   = ["s3:PutObject"]
      resources = ["${aws_s3_bucket.this[each.key].arn}/access/*"]
      principals {
        type        = "Service"
        identifiers = ["logging.s3.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [statement.value]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each   = local.buckets
  bucket     = aws_s3_bucket.this[each.key].id
  policy     = data.aws_iam_policy_document.bucket[each.key].json
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# --- Sources --------------------------------------------------------------------------------------------------------------------

# Which object version a stream is about: the one place, beside the raw bucket, where a key that may hold a name is kept. Its rows are
# erased when a study is forgotten.
resource "aws_dynamodb_table" "sources" {
  name                        = "${var.name}-sources"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.sources_table_keys.hash_key
  deletion_protection_enabled = var.deletion_protection
  attribute {
    name = var.sources_table_keys.hash_key
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.raw.arn
  }
}
