variable "name" {
  description = "Project and environment: the first part of every name."
  type        = string
}

variable "project_name" {
  description = "Project, the first part of the ledger's origin."
  type        = string
}

variable "environment" {
  description = "Environment, the second part of the ledger's origin."
  type        = string
}

variable "functions" {
  description = "The functions, from functions.json."
  type = map(object({
    description   = string
    woken_by      = set(string)
    every_minutes = number
    timeout_s     = number
    long_running  = bool
  }))
  validation {
    condition = alltrue(flatten([for function in var.functions : [for wake in function.woken_by :
      contains(["upload", "workflow", "request", "schedule", "ledger_stream", "head_stream"], wake)
    ]]))
    error_message = "functions.json says of a function that something wakes it that this module does not know."
  }
  validation {
    condition     = alltrue([for function in var.functions : !contains(function.woken_by, "schedule") || function.every_minutes != null])
    error_message = "functions.json must say how often a function that the clock wakes is woken."
  }
}

variable "rule_source" {
  description = "Source of the events that the rules are about, from rules.json."
  type        = string
}

variable "rules" {
  description = "The rules of the bus, from rules.json; each pattern as JSON."
  type = list(object({
    name              = string
    description       = string
    enabled           = bool
    event_pattern     = string
    dead_letter_queue = bool
    retry_policy      = object({ maximum_event_age_in_seconds = number, maximum_retry_attempts = number })
    target            = object({ kind = string, input_paths = map(string), input_template = string })
  }))
  validation {
    condition     = alltrue([for rule in var.rules : contains(["workflow", "notification"], rule.target.kind) && rule.dead_letter_queue])
    error_message = "rules.json: a target is the workflow or a notification, and every rule has a dead-letter queue."
  }
}

variable "state_machine_name" {
  description = "Name of the state machine."
  type        = string
}

variable "state_machine_file" {
  description = "Path of the rendered state machine."
  type        = string
}

variable "lambda_package" {
  description = "Path of the zip with the functions' program."
  type        = string
}

variable "lambda_architecture" {
  description = "x86_64 or arm64."
  type        = string
}

variable "lambda_memory_size" {
  description = "Memory of each function in MB."
  type        = number
}

variable "lambda_timeout" {
  description = "Longest run of a function that is not long_running, in seconds."
  type        = number
}

variable "log_level" {
  description = "What the functions write to their logs."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "archive_retention_days" {
  description = "How long the bus keeps its events."
  type        = number
}

variable "processed_key_layout" {
  description = "uid or mirror."
  type        = string
}

variable "study_idle_minutes" {
  description = "A study to which nothing came for so long is complete."
  type        = number
}

variable "metrics_namespace" {
  description = "Namespace of the metrics that the functions write."
  type        = string
}

variable "notification_emails" {
  description = "Who is told of quarantined objects, failures and complete studies."
  type        = list(string)
}

variable "key_deletion_days" {
  description = "How long a deleted key can be brought back."
  type        = number
}

variable "bucket_names" {
  description = "Names of the buckets raw, processed, logs, tiles and audit."
  type        = map(string)
}

variable "bucket_arns" {
  description = "ARNs of the same."
  type        = map(string)
}

variable "tables" {
  description = "Name and ARN of each table."
  type        = map(object({ name = string, arn = string }))
}

variable "stream_arns" {
  description = "ARNs of the streams of the tables ledger and head."
  type        = map(string)
}

variable "day_index_arn" {
  description = "ARN of the ledger's index of streams by day."
  type        = string
}

variable "ledger_day_index_name" {
  description = "Name of that index."
  type        = string
}

variable "key_arns" {
  description = "ARNs of the KMS keys raw, processed, audit, secrets and signing."
  type        = map(string)
}

variable "secret_arns" {
  description = "ARNs of the secrets, by the name of the key that each holds."
  type        = map(string)
}

variable "secret_names" {
  description = "Names of the same."
  type        = map(string)
}

variable "write_once_denied_actions" {
  description = "What nobody may do to the ledger table."
  type        = list(string)
}
