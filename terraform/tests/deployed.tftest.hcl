# What stands after `apply` in dev. Run it offline (tests/oracles/terraform_run.py): the credentials below are none, so that this can
# never deploy anything to a real account.

provider "aws" {
  region     = "eu-central-1"
  access_key = "none"
  secret_key = "none"
}

variables {
  environment         = "dev"
  aws_region          = "eu-central-1"
  audit_lock_mode     = "GOVERNANCE"
  audit_lock_days     = 1
  deletion_protection = false
  notification_emails = ["operator@example.org"]
}

run "names_are_those_that_users_know" {
  assert {
    condition     = output.raw_bucket_name == "medical-imaging-pipeline-dev-raw-dicom-${output.aws_account_id}"
    error_message = "the raw bucket is <project>-<env>-raw-dicom-<account id>: ${output.raw_bucket_name}"
  }
  assert {
    condition     = output.processed_bucket_name == "medical-imaging-pipeline-dev-processed-dicom-${output.aws_account_id}"
    error_message = "the processed bucket is <project>-<env>-processed-dicom-<account id>: ${output.processed_bucket_name}"
  }
  assert {
    condition     = output.logs_bucket_name == "medical-imaging-pipeline-dev-logs-${output.aws_account_id}"
    error_message = "the logs bucket is <project>-<env>-logs-<account id>: ${output.logs_bucket_name}"
  }
  assert {
    condition     = endswith(output.state_machine_arn, ":stateMachine:dicom-processing-workflow-dev")
    error_message = "the state machine is dicom-processing-workflow-<env>: ${output.state_machine_arn}"
  }
  assert {
    condition     = output.ingestion_function_name == "medical-imaging-pipeline-dev-ingestion"
    error_message = "a function is <project>-<env>-<step>: ${output.ingestion_function_name}"
  }
  assert {
    condition = alltrue([
      for word, name in output.function_names : name == "medical-imaging-pipeline-dev-${word}"
    ]) && keys(output.function_names) == keys(jsondecode(file("functions.json")).functions)
    error_message = "the functions are those of functions.json: ${join(" ", values(output.function_names))}"
  }
}

run "functions_are_as_the_table_says" {
  command = plan
  plan_options {
    refresh = false
  }
  assert {
    condition = alltrue([
      for word, function in module.pipeline.function_settings :
      function.handler == word && function.runtime == "provided.al2023" && function.architectures == tolist(["x86_64"])
    ])
    error_message = "the handler is the function's word, the runtime provided.al2023, the processor x86_64"
  }
  assert {
    condition     = alltrue([for function in module.pipeline.function_settings : function.memory_size == 512])
    error_message = "512 MB unless asked otherwise"
  }
  assert {
    condition = alltrue([
      for word, function in module.pipeline.function_settings :
      function.timeout <= jsondecode(file("functions.json")).functions[word].timeout_s && (function.timeout <= 300
      || jsondecode(file("functions.json")).functions[word].long_running)
    ])
    error_message = "no function runs longer than its state waits, and only long_running ones longer than lambda_timeout"
  }
  assert {
    condition     = module.pipeline.function_settings["deidentification"].timeout == 900
    error_message = "a large object may take 900 seconds"
  }
  assert {
    condition     = length(distinct(values(module.pipeline.role_arns))) == length(output.function_names)
    error_message = "each function has a role of its own"
  }
  assert {
    condition = alltrue([
      for word, function in module.pipeline.function_settings :
      function.environment["MEDIMG_STATE_MACHINE_ARN"] == output.state_machine_arn
    ])
    error_message = "the functions are told the state machine that stands"
  }
  assert {
    condition = alltrue([
      for word, name in output.function_names : output.log_group_names[word] == "/aws/lambda/${name}"
    ])
    error_message = "every function has its log group"
  }
  assert {
    condition = alltrue([
      for name in values(output.function_names) : contains(module.observability.alarm_names, "${name}-errors")
      && contains(module.observability.alarm_names, "${name}-throttles")
    ])
    error_message = "every function has an alarm for errors and one for throttles"
  }
  assert {
    condition     = alltrue([for name in values(output.queue_names) : contains(module.observability.alarm_names, "${name}-depth")])
    error_message = "every dead-letter queue has an alarm"
  }
  assert {
    condition = alltrue([
      for word, function in jsondecode(file("functions.json")).functions :
      !anytrue([for wake in function.woken_by : endswith(wake, "_stream")])
      || contains(module.observability.alarm_names, "${output.function_names[word]}-iterator-age")
    ])
    error_message = "every function that follows a stream has an alarm for its age"
  }
  assert {
    condition = alltrue([
      for alarm in [
        "unsealed-age", "verification-failed", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled",
      ] :
      contains(module.observability.alarm_names, "medical-imaging-pipeline-dev-${alarm}")
    ])
    error_message = "there are alarms for failed executions, unsealed entries and a failed verification"
  }
}

run "the_state_machine_invokes_functions_that_stand" {
  command = plan
  plan_options {
    refresh = false
  }
  assert {
    condition = alltrue([
      for state in jsondecode(module.pipeline.state_machine_definition).States :
      contains(values(module.pipeline.function_arns), state.Parameters.FunctionName) if state.Type == "Task"
    ])
    error_message = "every task names a function that stands"
  }
  assert {
    condition     = !strcontains(module.pipeline.state_machine_definition, "$${")
    error_message = "no placeholder is left"
  }
  assert {
    condition = toset(flatten([
      for statement in jsondecode(module.pipeline.service_role_policies["workflow"]).Statement :
      statement.Resource if statement.Sid == "InvokeSteps"
      ])) == toset([
      for state in jsondecode(module.pipeline.state_machine_definition).States : state.Parameters.FunctionName if state.Type == "Task"
    ])
    error_message = "the state machine may invoke the functions of its tasks, and no other"
  }
}

run "every_rule_has_a_target_with_retries_and_dead_letters" {
  command = plan
  plan_options {
    refresh = false
  }
  assert {
    condition     = toset(module.pipeline.rule_names) == toset([for target in module.pipeline.targets : target.rule])
    error_message = "every rule has a target: ${join(" ", setsubtract(module.pipeline.rule_names, module.pipeline.targets[*].rule))}"
  }
  assert {
    condition = alltrue([
      for target in module.pipeline.targets : coalesce(target.retry_attempts, 0) >= 1 && coalesce(target.retry_age_s, 0) >= 60
    ])
    error_message = "every target has a retry policy"
  }
  assert {
    condition     = alltrue([for target in module.pipeline.targets : can(regex("^arn:aws:sqs:.*-dlq$", target.dead_letter_arn))])
    error_message = "every target has a dead-letter queue"
  }
  assert {
    condition = length(setsubtract(
      [for rule in jsondecode(file("rules.json")).rules : "medical-imaging-pipeline-dev-${rule.name}"], module.pipeline.rule_names,
    )) == 0
    error_message = "every rule of rules.json stands"
  }
  assert {
    condition = alltrue([
      for target in module.pipeline.targets :
      target.input_template == "{\"stream_id\":<stream_id>}" if target.arn == output.state_machine_arn
    ]) && contains(module.pipeline.targets[*].arn, output.state_machine_arn)
    error_message = "the input of an execution is the stream id alone"
  }
}

run "buckets_are_closed" {
  command = plan
  plan_options {
    refresh = false
  }
  assert {
    condition = alltrue([
      for bucket in module.objects.bucket_settings :
      bucket.versioning == "Enabled" && bucket.public_blocked && bucket.ownership == "BucketOwnerEnforced" && !bucket.force_gone
    ])
    error_message = "versions are kept, nothing is public, nothing goes with the bucket"
  }
  assert {
    condition = alltrue([
      for key in ["raw", "processed"] :
      module.objects.bucket_settings[key].sse_algorithm == "aws:kms"
      && module.objects.bucket_settings[key].logged_to == output.logs_bucket_name
    ])
    error_message = "objects are encrypted with keys of our own, and access is logged"
  }
  assert {
    condition = alltrue([
      for policy in concat(values(module.objects.bucket_policies), values(module.ledger.bucket_policies)) :
      anytrue([for statement in jsondecode(policy).Statement : statement.Sid == "DenyWithoutTls" && statement.Effect == "Deny"])
    ])
    error_message = "every bucket refuses what is not TLS"
  }
  assert {
    condition = alltrue([
      for policy in [
        module.objects.bucket_policies["raw"], module.objects.bucket_policies["processed"], module.ledger.bucket_policies["tiles"],
        module.ledger.bucket_policies["audit"],
      ] :
      length([for statement in jsondecode(policy).Statement : 1 if contains(["DenyOtherEncryption", "DenyOtherKey"], statement.Sid)]) == 2
    ])
    error_message = "every bucket with data refuses another encryption and another key"
  }
  assert {
    condition = alltrue([
      for policy in [module.objects.bucket_policies["processed"], module.ledger.bucket_policies["audit"]] :
      anytrue([for statement in jsondecode(policy).Statement : statement.Sid == "DenyReplacing"])
    ])
    error_message = "a processed object, a checkpoint and a full tile are never replaced"
  }
  assert {
    condition = alltrue(flatten([
      for policy in concat(values(module.objects.bucket_policies), values(module.ledger.bucket_policies)) : [
        for statement in jsondecode(policy).Statement : statement.Effect == "Deny" || can(statement.Principal.Service)
      ]
    ]))
    error_message = "no bucket lets anyone in but a service"
  }
}

run "roles_have_the_least" {
  command = plan
  plan_options {
    refresh = false
  }
  assert {
    condition = length(flatten([
      for word, policy in module.pipeline.role_policies : [
        for statement in jsondecode(policy).Statement : [
          for action in flatten([statement.Action]) : "${word}: ${action}" if statement.Effect == "Allow" && strcontains(action, "*")
        ]
      ]
    ])) == 0
    error_message = "no role is allowed an action with a star"
  }
  assert {
    condition = length(flatten([
      for word, policy in merge(module.pipeline.role_policies, { auditor = module.ledger.auditor_policy }) : [
        for statement in jsondecode(policy).Statement : "${word}: ${statement.Sid}"
        if statement.Effect == "Allow" && contains(flatten([statement.Resource]), "*") && statement.Sid != "WriteTraces"
      ]
    ])) == 0
    error_message = "no role is allowed every resource, but for traces, which have none"
  }
  assert {
    condition = length(setsubtract(
      flatten([
        for word, policy in module.pipeline.role_policies : [
          for statement in jsondecode(policy).Statement : [for action in flatten([statement.Action]) : action]
          if statement.Effect == "Allow" && anytrue([
            for resource in flatten([statement.Resource]) : endswith(resource, "table/${output.table_names["ledger"]}")
          ])
        ]
      ]),
      ["dynamodb:PutItem", "dynamodb:Query"],
    )) == 0
    error_message = "the ledger table is put into and queried, no more"
  }
  assert {
    condition = alltrue([
      for word, policy in module.pipeline.role_policies : anytrue([
        for statement in jsondecode(policy).Statement : statement.Effect == "Deny" && length(setsubtract(
          [
            "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate",
            "dynamodb:PartiQLDelete", "dynamodb:PartiQLSelect",
          ], flatten([statement.Action]))) == 0 && anytrue([
          for resource in flatten([statement.Resource]) : endswith(resource, "table/${output.table_names["ledger"]}")
        ])
      ])
    ])
    error_message = "every role is denied to change or delete entries, in bulk and by PartiQL too"
  }
  assert {
    condition = jsondecode(module.ledger.ledger_table_policy).Statement[0].Effect == "Deny" && contains(
      jsondecode(module.ledger.ledger_table_policy).Statement[0].Action, "dynamodb:DeleteItem",
    )
    error_message = "the ledger table itself denies the same to everyone"
  }
  assert {
    condition = alltrue([
      for action, words in {
        "kms:Sign"              = ["sealer"]
        "events:PutEvents"      = ["relay"]
        "states:StartExecution" = ["sweeper"]
        "s3:DeleteObject"       = ["sealer"]
        "s3:ListBucketVersions" = ["sweeper"]
        "dynamodb:DeleteItem"   = ["projector"]
        "dynamodb:UpdateItem"   = ["projector"]
        } : toset(words) == toset([
          for word, policy in module.pipeline.role_policies : word if anytrue([
            for statement in jsondecode(policy).Statement : statement.Effect == "Allow" && contains(flatten([statement.Action]), action)
          ])
      ])
    ])
    error_message = "only the sealer signs and tidies tiles, only the relay speaks, only the sweeper starts executions and lists versions"
  }
  assert {
    condition = toset([
      for word, policy in module.pipeline.role_policies : word if anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Effect == "Allow" && contains(flatten([statement.Action]), "dynamodb:PutItem")
        && anytrue([for resource in flatten([statement.Resource]) : endswith(resource, "table/${output.table_names["head"]}")])
      ])
    ]) == toset(["sealer"])
    error_message = "only the sealer writes the head"
  }
  assert {
    condition = toset([
      for word, policy in module.pipeline.role_policies : word if anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Effect == "Allow" && contains(flatten([statement.Action]), "s3:PutObject")
        && anytrue([for resource in flatten([statement.Resource]) : strcontains(resource, output.processed_bucket_name)])
      ])
    ]) == toset(["deidentification", "delivery"])
    error_message = "only de-identification and delivery write processed objects"
  }
  assert {
    condition = length([
      for word, policy in module.pipeline.role_policies : word if anytrue([
        for statement in jsondecode(policy).Statement : statement.Effect == "Allow"
        && anytrue([for action in flatten([statement.Action]) : can(regex("^s3:(Put|Delete)", action))])
        && anytrue([for resource in flatten([statement.Resource]) : strcontains(resource, output.raw_bucket_name)])
      ])
    ]) == 0
    error_message = "nobody writes raw objects"
  }
  assert {
    condition = length([
      for statement in jsondecode(module.ledger.auditor_policy).Statement : statement
      if anytrue([for action in flatten([statement.Action]) : !can(regex("^(dynamodb|s3|kms):(Get|List|Query|Describe|Decrypt)", action))])
    ]) == 0
    error_message = "the auditor writes nothing"
  }
}

run "the_ledger_is_kept" {
  command = plan
  plan_options {
    refresh = false
  }
  assert {
    condition     = alltrue([for table in module.ledger.table_settings : table.pitr && table.key_arn == module.ledger.key_arns["audit"]])
    error_message = "every table can be brought back to any moment and is encrypted with the audit key"
  }
  assert {
    condition     = module.ledger.audit_lock.mode == "GOVERNANCE" && module.ledger.audit_lock.days == 1
    error_message = "in dev the lock is GOVERNANCE for a day"
  }
}
