# What is refused before anything is planned.

provider "aws" {
  region     = "us-east-1"
  access_key = "none"
  secret_key = "none"
}

variables {
  environment     = "prod"
  audit_lock_mode = "COMPLIANCE"
  audit_lock_days = 2192
}

run "in_prod_a_weak_lock_less_than_six_years_mirrored_keys_and_no_keys_of_our_own" {
  command = plan
  variables {
    audit_lock_mode              = "GOVERNANCE"
    audit_lock_days              = 2191
    processed_key_layout         = "mirror"
    raw_keys_hold_no_identifiers = true
    enable_s3_encryption         = false
    secret_recovery_days         = 0
  }
  expect_failures = [
    var.audit_lock_mode, var.audit_lock_days, var.processed_key_layout, var.enable_s3_encryption, var.secret_recovery_days,
  ]
}

run "in_dev_mirrored_keys_without_the_declaration" {
  command = plan
  variables {
    environment          = "dev"
    processed_key_layout = "mirror"
  }
  expect_failures = [var.processed_key_layout]
}

run "what_is_beyond_its_limit" {
  command = plan
  variables {
    environment            = "qa"
    project_name           = "a-project-name-of-25-abcd"
    bucket_suffix          = "ends-in-"
    lambda_memory_size     = 128
    lambda_timeout         = 901
    log_retention_days     = 31
    notification_emails    = ["nobody"]
    auditor_principal_arns = ["*"]
  }
  expect_failures = [
    var.environment, var.project_name, var.bucket_suffix, var.lambda_memory_size, var.lambda_timeout, var.log_retention_days,
    var.notification_emails, var.auditor_principal_arns,
  ]
}
