# Everything that can be chosen. What the code knows (steps, functions, rules, error names, table keys) is no variable: it is read from
# the *.json files beside this one, which are rendered from the code or compared with it.

variable "project_name" {
  description = "First part of every name."
  type        = string
  default     = "medical-imaging-pipeline"
  validation {
    # With the longest environment and an account id as suffix, a bucket's name then has 61 of the 63 characters allowed.
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.project_name))
    error_message = "project_name has 3 to 24 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "environment" {
  description = "Second part of every name: dev, staging or prod."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment is dev, staging or prod."
  }
}

variable "aws_region" {
  description = "Region that everything stands in."
  type        = string
  default     = "us-east-1"
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region looks like eu-central-1."
  }
}

variable "aws_profile" {
  description = "Profile of the AWS CLI's configuration to work with; empty: the environment's credentials."
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of every resource, beside Project, Environment and ManagedBy. No PHI."
  type        = map(string)
  default     = {}
  validation {
    condition     = length(setintersection(keys(var.tags), ["Project", "Environment", "ManagedBy"])) == 0
    error_message = "Project, Environment and ManagedBy are set by the module."
  }
}

variable "bucket_suffix" {
  description = "Last part of the buckets' names: null for the account id; empty for the exact names <project>-<env>-raw-dicom and so on."
  type        = string
  default     = null
  validation {
    condition     = can(regex("^([a-z0-9][a-z0-9-]{0,11})?$", coalesce(var.bucket_suffix, "0")))
    error_message = "bucket_suffix has at most 12 lower-case letters, digits and hyphens."
  }
  validation {
    condition     = !endswith(coalesce(var.bucket_suffix, "0"), "-")
    error_message = "bucket_suffix does not end with a hyphen."
  }
}

variable "raw_bucket_name" {
  description = "Name of the bucket that sites upload to; empty: generated."
  type        = string
  default     = ""
  validation {
    condition     = var.raw_bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.raw_bucket_name))
    error_message = "raw_bucket_name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "processed_bucket_name" {
  description = "Name of the bucket with the de-identified objects; empty: generated."
  type        = string
  default     = ""
  validation {
    condition     = var.processed_bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.processed_bucket_name))
    error_message = "processed_bucket_name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "logs_bucket_name" {
  description = "Name of the bucket with the access logs of the others; empty: generated."
  type        = string
  default     = ""
  validation {
    condition     = var.logs_bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.logs_bucket_name))
    error_message = "logs_bucket_name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "audit_bucket_name" {
  description = "Name of the locked bucket with checkpoints and full tiles; empty: generated."
  type        = string
  default     = ""
  validation {
    condition     = var.audit_bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.audit_bucket_name))
    error_message = "audit_bucket_name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "tiles_bucket_name" {
  description = "Name of the bucket with the published log (C2SP tlog-tiles); empty: generated."
  type        = string
  default     = ""
  validation {
    condition     = var.tiles_bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.tiles_bucket_name))
    error_message = "tiles_bucket_name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "enable_s3_encryption" {
  description = "Encrypt the buckets of raw and processed objects with keys of our own; false leaves S3's key. Only dev may say false."
  type        = bool
  default     = true
  validation {
    condition     = var.enable_s3_encryption || var.environment == "dev"
    error_message = "Outside dev the buckets are encrypted with keys of our own."
  }
}

variable "processed_key_layout" {
  description = "Key of a processed object: uid (new Study/Series/SOP Instance UID) or mirror (the raw object's key; dev only)."
  type        = string
  default     = "uid"
  validation {
    condition     = contains(["uid", "mirror"], var.processed_key_layout)
    error_message = "processed_key_layout is uid or mirror."
  }
  validation {
    # A raw object's key may hold a patient's name; mirrored, it would be published beside the de-identified object.
    condition     = var.processed_key_layout == "uid" || (var.environment == "dev" && var.raw_keys_hold_no_identifiers)
    error_message = "mirror needs environment dev and raw_keys_hold_no_identifiers = true."
  }
}

variable "raw_keys_hold_no_identifiers" {
  description = "Your declaration that no key in the raw bucket holds a name, number or date of a patient. Only mirror asks for it."
  type        = bool
  default     = false
}

variable "lambda_package" {
  description = "Path of the zip with the functions' one program; scripts/build_lambdas.sh makes it."
  type        = string
  default     = "../target/lambda/bootstrap.zip"
  validation {
    condition     = endswith(var.lambda_package, ".zip")
    error_message = "lambda_package is a zip."
  }
}

variable "lambda_architecture" {
  description = "Processor that the package was built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  validation {
    condition     = contains(["x86_64", "arm64"], var.lambda_architecture)
    error_message = "lambda_architecture is x86_64 or arm64."
  }
}

variable "lambda_memory_size" {
  description = "Memory of each function in MB; its share of a processor grows with it."
  type        = number
  default     = 512
  validation {
    condition     = var.lambda_memory_size >= 256 && var.lambda_memory_size <= 10240
    error_message = "lambda_memory_size is from 256 to 10240."
  }
  validation {
    condition     = floor(var.lambda_memory_size) == var.lambda_memory_size
    error_message = "lambda_memory_size is a whole number."
  }
}

variable "lambda_timeout" {
  description = "Longest run of a function in seconds. Less where functions.json says less; more only where it says long_running."
  type        = number
  default     = 300
  validation {
    condition     = var.lambda_timeout >= 60 && var.lambda_timeout <= 900 && floor(var.lambda_timeout) == var.lambda_timeout
    error_message = "lambda_timeout is a whole number from 60 to 900."
  }
}

variable "log_level" {
  description = "What the functions write to their logs: error, warn, info or debug."
  type        = string
  default     = "info"
  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log_level)
    error_message = "log_level is error, warn, info or debug."
  }
}

variable "log_retention_days" {
  description = "How long the functions' logs are kept. The audit trail is the ledger, not these."
  type        = number
  default     = 30
  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days is one of the numbers that CloudWatch knows, such as 30, 90 or 365."
  }
}

variable "access_log_retention_days" {
  description = "How long the buckets' access logs are kept."
  type        = number
  default     = 365
  validation {
    condition     = var.access_log_retention_days >= 30 && var.access_log_retention_days <= 3653
    error_message = "access_log_retention_days is from 30 to 3653."
  }
}

variable "archive_retention_days" {
  description = "How long the bus keeps its events for a replay of the bus. The ledger keeps them for ever."
  type        = number
  default     = 90
  validation {
    condition     = var.archive_retention_days >= 1 && var.archive_retention_days <= 3653
    error_message = "archive_retention_days is from 1 to 3653."
  }
}

variable "raw_transition_days" {
  description = "Age at which a raw object moves to Glacier Instant Retrieval, from where a replay can still read it."
  type        = number
  default     = 90
  validation {
    condition     = var.raw_transition_days >= 30
    error_message = "raw_transition_days is at least 30."
  }
}

variable "raw_noncurrent_days" {
  description = "How long a raw object that was overwritten or deleted is kept: as long as a replay may need the version it pinned."
  type        = number
  default     = 365
  validation {
    condition     = var.raw_noncurrent_days >= 1
    error_message = "raw_noncurrent_days is at least 1."
  }
}

variable "audit_lock_mode" {
  description = "Object Lock of the audit bucket: GOVERNANCE (who may bypass it can delete) or COMPLIANCE (nobody can)."
  type        = string
  validation {
    condition     = contains(["GOVERNANCE", "COMPLIANCE"], var.audit_lock_mode)
    error_message = "audit_lock_mode is GOVERNANCE or COMPLIANCE."
  }
  validation {
    condition     = var.environment != "prod" || var.audit_lock_mode == "COMPLIANCE"
    error_message = "In prod audit_lock_mode is COMPLIANCE."
  }
}

variable "audit_lock_days" {
  description = "How long the audit bucket refuses to delete a version. HIPAA asks for six years (45 CFR 164.316(b)(2)(i))."
  type        = number
  validation {
    condition     = var.audit_lock_days >= 1 && var.audit_lock_days <= 36500 && floor(var.audit_lock_days) == var.audit_lock_days
    error_message = "audit_lock_days is a whole number from 1 to 36500."
  }
  validation {
    # Six years with two leap days.
    condition     = var.environment != "prod" || var.audit_lock_days >= 2192
    error_message = "In prod audit_lock_days is at least 2192, six years."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables of the audit store. destroy.sh says false once the store's name was typed."
  type        = bool
  default     = true
}

variable "key_deletion_days" {
  description = "How many days a KMS key can still be brought back after it was deleted."
  type        = number
  default     = 30
  validation {
    condition     = var.key_deletion_days >= 7 && var.key_deletion_days <= 30
    error_message = "key_deletion_days is from 7 to 30."
  }
}

variable "secret_recovery_days" {
  description = "How many days a deleted secret can be brought back, and its name not be used again; 0: none."
  type        = number
  default     = 30
  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days is 0, or from 7 to 30."
  }
  validation {
    # Without these keys no study is ever found again in the ledger.
    condition     = var.secret_recovery_days > 0 || var.environment == "dev"
    error_message = "Only in dev a deleted secret is gone at once."
  }
}

variable "study_idle_minutes" {
  description = "A study to which nothing came for so long is complete."
  type        = number
  default     = 10
  validation {
    condition     = var.study_idle_minutes >= 1 && var.study_idle_minutes <= 10080
    error_message = "study_idle_minutes is from 1 to 10080, a week."
  }
}

variable "unsealed_age_alarm_seconds" {
  description = "Age of the oldest entry without a place in the tree at which an operator is called."
  type        = number
  default     = 900
  validation {
    condition     = var.unsealed_age_alarm_seconds >= 60 && var.unsealed_age_alarm_seconds <= 86400
    error_message = "unsealed_age_alarm_seconds is from 60 to 86400."
  }
}

variable "notification_emails" {
  description = "Who is told of quarantined objects, failures, complete studies and alarms. Each address must confirm once."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for address in var.notification_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "notification_emails are addresses."
  }
}

variable "auditor_principal_arns" {
  description = "Who may take the auditor's role, which reads the ledger and writes nothing; empty: whom IAM of this account allows."
  type        = list(string)
  default     = []
  validation {
    condition = alltrue([
      for arn in var.auditor_principal_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(root|user/.+|role/.+)$", arn))
    ])
    error_message = "auditor_principal_arns are ARNs of accounts, users or roles."
  }
}
