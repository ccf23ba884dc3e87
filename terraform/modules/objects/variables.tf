variable "name" {
  description = "Project and environment: the first part of every name."
  type        = string
}

variable "raw_bucket_name" {
  description = "Name of the bucket that sites upload to."
  type        = string
}

variable "processed_bucket_name" {
  description = "Name of the bucket with the de-identified objects."
  type        = string
}

variable "logs_bucket_name" {
  description = "Name of the bucket with access logs."
  type        = string
}

variable "enable_s3_encryption" {
  description = "Encrypt raw and processed objects with keys of our own."
  type        = bool
}

variable "raw_transition_days" {
  description = "Age at which a raw object moves to Glacier Instant Retrieval."
  type        = number
}

variable "raw_noncurrent_days" {
  description = "How long an overwritten or deleted raw object is kept."
  type        = number
}

variable "access_log_retention_days" {
  description = "How long access logs are kept."
  type        = number
}

variable "key_deletion_days" {
  description = "How long a deleted key can be brought back."
  type        = number
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table."
  type        = bool
}

variable "sources_table_keys" {
  description = "Key of the table `sources`, from tables.json."
  type        = object({ hash_key = string, range_key = string })
  validation {
    condition     = var.sources_table_keys.range_key == null
    error_message = "The table `sources` has one row a stream."
  }
}
