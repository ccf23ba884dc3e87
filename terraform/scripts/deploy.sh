#!/usr/bin/env bash
# Deploys the pipeline in nine steps: `deploy.sh dev|prod [--yes] [--plan-only] [--skip-build] [-- ARGUMENTS OF TERRAFORM PLAN]`.
# Safe to run again: what stands as asked is left alone, and a secret that has a value is never given another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,3s/^# //p' "scripts/deploy.sh" >&2
  exit 2
}
step() { echo "[INFO] Step $1: $2"; }
say() { echo "[INFO] $*"; }
fail() {
  echo "[ERROR] $*" >&2
  exit 1
}

environment=${1:-}
[ -d "environments/${environment:-none}" ] || usage
shift
yes=no plan_only=no build=yes
more=()
while [ $# -gt 0 ]; do
  case $1 in
    --yes) yes=yes ;;
    --plan-only) plan_only=yes ;;
    --skip-build) build=no ;;
    --)
      shift
      more=("$@")
      break
      ;;
    *) usage ;;
  esac
  shift
done
readonly variables=environments/$environment/terraform.tfvars
readonly plan=plans/$environment.tfplan
readonly outputs=outputs.$environment.json
command -v terraform >/dev/null || fail "terraform is not on PATH: 1.10 or newer is needed"

bytes=$(mktemp)
trap 'rm -f "$bytes"' EXIT
# Puts 32 random bytes into each secret that has no value yet. They never stand in Terraform's state, a log, or an argument.
fill_secrets() {
  local region=$1 name secret versions
  command -v aws >/dev/null || fail "the AWS CLI is not on PATH: the keys could not be made. Install it and run this again"
  while read -r name secret; do
    versions=$(aws --region "$region" secretsmanager list-secret-version-ids --secret-id "$secret" \
      --query 'Versions[].VersionId' --output text) ||
      fail "whether the key $name stands could not be asked"
    if [ -n "$versions" ] && [ "$versions" != None ]; then
      say "key $name stands"
      continue
    fi
    head -c 32 /dev/urandom >"$bytes"
    # With the same token another value is refused: of two runs at once only one can be first.
    aws --region "$region" secretsmanager put-secret-value --secret-id "$secret" --secret-binary "fileb://$bytes" \
      --client-request-token "$(printf 'medimg-first-value-of-the-key-%s' "${name//[^a-z0-9]/-}" | head -c 64)" \
      --query Name --output text >/dev/null || fail "key $name could not be made"
    say "key $name made"
  done < <(python3 -c 'import json, sys
for name, secret in json.load(open(sys.argv[1]))["secret_names"]["value"].items(): print(name, secret)' "$outputs")
}

step 1 "build the functions"
architecture=$(sed -n 's/^lambda_architecture *= *"\(.*\)".*/\1/p' "$variables")
if [ "$build" = yes ]; then
  scripts/build_lambdas.sh "${architecture:-x86_64}"
else
  say "skipped: the package that stands is deployed"
fi

step 2 "initialise Terraform"
terraform init -input=false

step 3 "choose the workspace $environment"
terraform workspace select -or-create "$environment"

step 4 "validate"
terraform validate

step 5 "check the format"
terraform fmt -check -recursive

step 6 "plan"
mkdir -p plans
changed=0
terraform plan -input=false -detailed-exitcode -var-file="$variables" -out="$plan" ${more[@]+"${more[@]}"} || changed=$?
[ "$changed" -eq 0 ] || [ "$changed" -eq 2 ] || fail "the plan failed"

step 7 "show what would change"
terraform show -no-color "$plan" | grep -E '^  # |^Plan:|^No changes' || true
if [ "$plan_only" = yes ]; then
  say "nothing was changed: --plan-only"
  exit 0
fi

step 8 "ask"
if [ "$changed" -eq 0 ]; then
  say "nothing to change"
elif [ "$yes" = yes ]; then
  say "yes: --yes"
else
  read -r -p "Type $environment to apply this plan: " answer || answer=
  [ "$answer" = "$environment" ] || fail "not applied"
fi

step 9 "apply and print the outputs"
[ "$changed" -eq 0 ] || terraform apply -input=false "$plan"
rm -f "$plan"
terraform output -json >"$outputs"
fill_secrets "$(terraform output -raw aws_region)"
# An apply has printed them already.
[ "$changed" -ne 0 ] || terraform output
say "done: medimg --aws terraform/$outputs"
