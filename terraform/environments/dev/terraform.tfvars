# A place to try things: it can be taken down the next day.
environment         = "dev"
audit_lock_mode     = "GOVERNANCE"
audit_lock_days     = 1
deletion_protection = false
key_deletion_days   = 7
raw_noncurrent_days = 30
# Deployed again the same day, it must be able to make its keys again under the same names.
secret_recovery_days = 0
log_level            = "debug"
