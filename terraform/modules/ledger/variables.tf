variable "name" {
  description = "Project and environment: the first part of every name."
  type        = string
}

variable "tiles_bucket_name" {
  description = "Name of the bucket with the published log."
  type        = string
}

variable "audit_bucket_name" {
  description = "Name of the locked bucket."
  type        = string
}

variable "logs_bucket_name" {
  description = "Bucket that takes the access logs."
  type        = string
}

variable "audit_lock_mode" {
  description = "GOVERNANCE or COMPLIANCE."
  type        = string
}

variable "audit_lock_days" {
  description = "How long a version in the audit bucket cannot be deleted."
  type        = number
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables."
  type        = bool
}

variable "key_deletion_days" {
  description = "How long a deleted key can be brought back."
  type        = number
}

variable "secret_recovery_days" {
  description = "How long a deleted secret can be brought back; 0: not at all."
  type        = number
}

variable "tables" {
  description = "Keys of the tables, from tables.json."
  type        = map(object({ hash_key = string, range_key = string }))
  validation {
    condition     = alltrue([for table in ["ledger", "head", "seal", "views", "cursors"] : contains(keys(var.tables), table)])
    error_message = "tables.json must name the tables ledger, head, seal, views and cursors."
  }
}

variable "ledger_day_index" {
  description = "Name and keys of the ledger's one index, from tables.json."
  type        = object({ name = string, hash_key = string, range_key = string })
}

variable "write_once_denied_actions" {
  description = "What nobody may do to the ledger table."
  type        = list(string)
}

variable "auditor_principal_arns" {
  description = "Who may take the auditor's role; empty: whom IAM of this account allows."
  type        = list(string)
}
