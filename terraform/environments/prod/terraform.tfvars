# Before the first patient's data: a signed business associate agreement with AWS (docs/DEPLOYMENT.md).
environment = "prod"
# Six years with two leap days. COMPLIANCE cannot be undone, by nobody: what is written stays that long.
audit_lock_mode     = "COMPLIANCE"
audit_lock_days     = 2192
deletion_protection = true
lambda_memory_size  = 1024
log_retention_days  = 365
