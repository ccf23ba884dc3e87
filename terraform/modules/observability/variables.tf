variable "name" {
  description = "Project and environment: the first part of every name."
  type        = string
}

variable "function_names" {
  description = "Name of each function, by its word."
  type        = map(string)
}

variable "step_functions" {
  description = "Words of the functions that the state machine invokes."
  type        = list(string)
}

variable "stream_functions" {
  description = "Words of the functions that follow a stream."
  type        = list(string)
}

variable "queue_names" {
  description = "Queues for what could not be handled."
  type        = map(string)
}

variable "state_machine_arn" {
  description = "The state machine."
  type        = string
}

variable "ledger_table_name" {
  description = "The ledger table."
  type        = string
}

variable "metrics_namespace" {
  description = "Namespace of the metrics that the functions write."
  type        = string
}

variable "metrics" {
  description = "Names of those metrics, from functions.json."
  type        = object({ unsealed_age = string, verification_failed = string })
}

variable "unsealed_age_alarm_seconds" {
  description = "Age of the oldest unsealed entry at which an operator is called."
  type        = number
}

variable "operations_key_arn" {
  description = "KMS key of the topic."
  type        = string
}

variable "notification_emails" {
  description = "Who is told of alarms."
  type        = list(string)
}
