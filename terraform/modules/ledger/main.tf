# The audit store: the ledger and what proves it. destroy.sh leaves this module alone unless its name is typed.
# A put can overwrite a row, so the proof is not the policy but the chain, the signed heads, and the locked bucket.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  root    = "arn:${data.aws_partition.current.partition}:iam::${local.account}:root"
}

# --- Keys -----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:A key's policy is about this key alone; the account's own IAM decides who of the account may use it.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:In a key's policy the resource `*` means this key.
  statement {
    sid       = "AccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"] # In a key's policy this is the key itself. Without this statement nobody could ever change the key.
    principals {
      type        = "AWS"
      identifiers = [local.root]
    }
  }
}

resource "aws_kms_key" "audit" {
  description             = "${var.name}: ledger, head, views, tiles and checkpoints"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_days
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "audit" {
  name          = "alias/${var.name}-audit"
  target_key_id = aws_kms_key.audit.key_id
}

resource "aws_kms_key" "secrets" {
  description             = "${var.name}: the keys that ids, tags and pseudonyms are made with"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_days
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "secrets" {
  name          = "alias/${var.name}-secrets"
  target_key_id = aws_kms_key.secrets.key_id
}

# Signs checkpoints. KMS does not rotate such keys: a new one is a new verifier key, and the newest checkpoint is signed with both.
resource "aws_kms_key" "signing" {
  description              = "${var.name}: signs checkpoints (Ed25519)"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_EDWARDS25519"
  deletion_window_in_days  = var.key_deletion_days
  policy                   = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "signing" {
  name          = "alias/${var.name}-signing"
  target_key_id = aws_kms_key.signing.key_id
}

# --- Secrets --------------------------------------------------------------------------------------------------------------------

# Only their places: deploy.sh puts 32 random bytes into each that is empty, so no key ever stands in Terraform's state.
resource "aws_secretsmanager_secret" "key" {
  #checkov:skip=CKV2_AWS_57:These keys never rotate: another stream or mapping key would be other ids and other pseudonyms.
  for_each = {
    stream     = "Makes stream ids. Never changes."
    "index.v1" = "Makes the keyed hashes by which studies, patients, accession numbers and people are found."
    mapping    = "Makes new UIDs, patient ids and day offsets. Never changes: another key is another project."
  }
  name                    = "${var.name}/keys/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.secrets.arn
  recovery_window_in_days = var.secret_recovery_days
}

# --- Tables ---------------------------------------------------------------------------------------------------------------------

resource "aws_dynamodb_table" "ledger" {
  name                        = "${var.name}-ledger"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.tables.ledger.hash_key
  range_key                   = var.tables.ledger.range_key
  deletion_protection_enabled = var.deletion_protection
  # Records are only wake-ups for the sealer, which then reads the table itself.
  stream_enabled   = true
  stream_view_type = "KEYS_ONLY"
  dynamic "attribute" {
    for_each = toset([
      var.tables.ledger.hash_key, var.tables.ledger.range_key, var.ledger_day_index.hash_key, var.ledger_day_index.range_key,
    ])
    content {
      name = attribute.value
      type = "S"
    }
  }
  # Only the first entry of a stream has the attribute: the index lists the streams of a day, in shards.
  global_secondary_index {
    name            = var.ledger_day_index.name
    projection_type = "KEYS_ONLY"
    key_schema {
      attribute_name = var.ledger_day_index.hash_key
      key_type       = "HASH"
    }
    key_schema {
      attribute_name = var.ledger_day_index.range_key
      key_type       = "RANGE"
    }
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.audit.arn
  }
}

# Nobody of the account, whatever a role's own policy says, changes or deletes an entry.
data "aws_iam_policy_document" "write_once" {
  statement {
    sid     = "DenyChangeAndDelete"
    effect  = "Deny"
    actions = var.write_once_denied_actions
    resources = [
      aws_dynamodb_table.ledger.arn,
    ]
    principals {
      type        = "*" # Everyone is denied, so everyone is named.
      identifiers = ["*"]
    }
  }
}

resource "aws_dynamodb_resource_policy" "ledger" {
  resource_arn = aws_dynamodb_table.ledger.arn
  policy       = data.aws_iam_policy_document.write_once.json
}

# One row: size, root and frontier of the log. Written by the sealer alone, by compare-and-swap.
resource "aws_dynamodb_table" "head" {
  name                        = "${var.name}-head"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.tables.head.hash_key
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "KEYS_ONLY"
  attribute {
    name = var.tables.head.hash_key
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.audit.arn
  }
}

# How far each stream is sealed; can be made again from the tiles.
resource "aws_dynamodb_table" "seal" {
  name                        = "${var.name}-seal"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.tables.seal.hash_key
  deletion_protection_enabled = var.deletion_protection
  attribute {
    name = var.tables.seal.hash_key
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.audit.arn
  }
}

# An arrangement of the log by which questions are answered; can be made again, never the truth.
resource "aws_dynamodb_table" "views" {
  name                        = "${var.name}-views"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.tables.views.hash_key
  range_key                   = var.tables.views.range_key
  deletion_protection_enabled = var.deletion_protection
  attribute {
    name = var.tables.views.hash_key
    type = "S"
  }
  attribute {
    name = var.tables.views.range_key
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.audit.arn
  }
}

# How far each consumer of the log (relay, projector) has come.
resource "aws_dynamodb_table" "cursors" {
  name                        = "${var.name}-cursors"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.tables.cursors.hash_key
  deletion_protection_enabled = var.deletion_protection
  attribute {
    name = var.tables.cursors.hash_key
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.audit.arn
  }
}
