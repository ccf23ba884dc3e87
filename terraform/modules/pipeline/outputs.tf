output "function_names" {
  description = "Name of each function, by its word."
  value       = { for name, function in aws_lambda_function.this : name => function.function_name }
}

output "function_arns" {
  description = "ARN of each function, by its word."
  value       = { for name, function in aws_lambda_function.this : name => function.arn }
}

output "state_machine_arn" {
  description = "ARN of the state machine."
  value       = aws_sfn_state_machine.this.arn
}

output "event_bus_name" {
  description = "Name of the bus."
  value       = aws_cloudwatch_event_bus.this.name
}

output "event_archive_name" {
  description = "Name of the bus's archive."
  value       = aws_cloudwatch_event_archive.this.name
}

output "notifications_topic_arn" {
  description = "Topic that tells of quarantined objects, failures and complete studies."
  value       = aws_sns_topic.notifications.arn
}

output "operations_key_arn" {
  description = "KMS key of bus, queues, notifications and logs."
  value       = aws_kms_key.operations.arn
}

output "queue_names" {
  description = "Names of the queues for what could not be handled."
  value       = merge({ for name, queue in aws_sqs_queue.function : name => queue.name }, { rules = aws_sqs_queue.rules.name })
}

output "log_group_names" {
  description = "Log group of each function, by its word, and of the workflow."
  value = merge(
    { for name, group in aws_cloudwatch_log_group.function : name => group.name },
    { workflow = aws_cloudwatch_log_group.workflow.name },
  )
}

output "stream_functions" {
  description = "Functions that follow a stream."
  value       = keys(local.stream_of)
}

# What follows is there for tests.

output "role_policies" {
  description = "Policy of each function's role, as JSON."
  value       = { for name, policy in aws_iam_role_policy.function : name => policy.policy }
}

output "service_role_policies" {
  description = "Policies of the roles of the services: the state machine's and the rules'."
  value       = { workflow = aws_iam_role_policy.workflow.policy, start = aws_iam_role_policy.start.policy }
}

output "state_machine_definition" {
  description = "The state machine as deployed, as JSON."
  value       = aws_sfn_state_machine.this.definition
}

output "targets" {
  description = "Every target of every rule: what is asked of retries and dead letters."
  value = [
    for target in concat(
      values(aws_cloudwatch_event_target.workflow),
      values(aws_cloudwatch_event_target.upload),
      values(aws_cloudwatch_event_target.schedule),
      ) : {
      rule            = target.rule
      arn             = target.arn
      retry_attempts  = try(one(target.retry_policy).maximum_retry_attempts, null)
      retry_age_s     = try(one(target.retry_policy).maximum_event_age_in_seconds, null)
      dead_letter_arn = try(one(target.dead_letter_config).arn, null)
      input_template  = try(one(target.input_transformer).input_template, null)
    }
  ]
}

output "rule_names" {
  description = "Every rule."
  value = concat(
    [for rule in aws_cloudwatch_event_rule.workflow : rule.name], [aws_cloudwatch_event_rule.upload.name],
    [for rule in aws_cloudwatch_event_rule.schedule : rule.name],
  )
}

output "function_settings" {
  description = "What was asked of each function."
  value = {
    for name, function in aws_lambda_function.this : name => {
      handler       = function.handler
      runtime       = function.runtime
      architectures = function.architectures
      memory_size   = function.memory_size
      timeout       = function.timeout
      environment   = one(function.environment).variables
      role          = function.role
    }
  }
}

output "role_arns" {
  description = "Role of each function, by its word."
  value       = { for name, role in aws_iam_role.function : name => role.arn }
}
