# The auditor: reads the ledger and what proves it, writes nothing, and sees no object and no key that names are hashed with.

data "aws_iam_policy_document" "auditor_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = length(var.auditor_principal_arns) == 0 ? [local.root] : var.auditor_principal_arns
    }
  }
}

data "aws_iam_policy_document" "auditor" {
  statement {
    sid     = "ReadTables"
    actions = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query"]
    resources = [
      aws_dynamodb_table.ledger.arn, "${aws_dynamodb_table.ledger.arn}/index/${var.ledger_day_index.name}",
      aws_dynamodb_table.head.arn, aws_dynamodb_table.seal.arn, aws_dynamodb_table.views.arn, aws_dynamodb_table.cursors.arn,
    ]
  }
  statement {
    sid       = "ListLog"
    actions   = ["s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning", "s3:ListBucket", "s3:ListBucketVersions"]
    resources = [for bucket in aws_s3_bucket.this : bucket.arn]
  }
  statement {
    sid       = "ReadLog"
    actions   = ["s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion"]
    resources = [for bucket in aws_s3_bucket.this : "${bucket.arn}/*"]
  }
  statement {
    sid       = "ReadEncrypted"
    actions   = ["kms:Decrypt", "kms:DescribeKey"]
    resources = [aws_kms_key.audit.arn]
  }
  statement {
    sid       = "GetVerifierKey"
    actions   = ["kms:GetPublicKey"]
    resources = [aws_kms_key.signing.arn]
  }
}

resource "aws_iam_role" "auditor" {
  name                 = "${var.name}-auditor"
  description          = "Verifies the ledger; writes nothing."
  assume_role_policy   = data.aws_iam_policy_document.auditor_trust.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "auditor" {
  name   = "read"
  role   = aws_iam_role.auditor.id
  policy = data.aws_iam_policy_document.auditor.json
}
