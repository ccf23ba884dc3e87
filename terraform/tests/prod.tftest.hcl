# What prod asks for, and the names without a suffix. Plans only.

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

run "prod_is_locked_for_six_years_and_an_empty_suffix_gives_the_exact_names" {
  command = plan
  variables {
    bucket_suffix = ""
  }
  assert {
    condition     = module.ledger.audit_lock.mode == "COMPLIANCE" && module.ledger.audit_lock.days >= 2192
    error_message = "COMPLIANCE for at least six years"
  }
  assert {
    condition     = alltrue([for table in module.ledger.table_settings : table.protected])
    error_message = "no table can be deleted by mistake"
  }
  assert {
    condition = [output.raw_bucket_name, output.processed_bucket_name, output.logs_bucket_name] == [
      "medical-imaging-pipeline-prod-raw-dicom", "medical-imaging-pipeline-prod-processed-dicom", "medical-imaging-pipeline-prod-logs",
    ]
    error_message = "the names are exactly <project>-<env>-<what>"
  }
}

run "a_name_that_is_given_is_taken" {
  command = plan
  variables {
    raw_bucket_name = "our-own-uploads"
    bucket_suffix   = "abc"
  }
  assert {
    condition     = output.raw_bucket_name == "our-own-uploads" && output.logs_bucket_name == "medical-imaging-pipeline-prod-logs-abc"
    error_message = "raw_bucket_name and bucket_suffix are obeyed"
  }
}

run "the_longest_names_fit" {
  command = plan
  variables {
    environment  = "staging"
    project_name = "a-project-name-of-24-abc"
  }
  assert {
    condition     = length(output.processed_bucket_name) <= 63
    error_message = "a bucket's name has at most 63 characters"
  }
}
