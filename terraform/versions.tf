# What this module needs of Terraform and its provider, and which account and region it works in.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # From 6.21 on it knows the Ed25519 keys of KMS (ECC_NIST_EDWARDS25519), with which checkpoints are signed.
      version = ">= 6.21, < 7.0"
    }
  }
}

provider "aws" {
  region  = var.aws_region
  profile = var.aws_profile == "" ? null : var.aws_profile
  default_tags {
    tags = merge(var.tags, {
      Project     = var.project_name
      Environment = var.environment
      ManagedBy   = "terraform"
    })
  }
}
