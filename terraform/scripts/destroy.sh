#!/usr/bin/env bash
# Takes the pipeline down: `destroy.sh dev|prod [--yes] [--audit-store NAME] [-- ARGUMENTS OF TERRAFORM DESTROY]`.
# Says first what goes and what stays. Empties raw, processed and logs. The audit store (ledger, checkpoints, keys) stays, unless its
# name <project>-<env> is typed or given; what its lock still holds, nobody can delete.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,4s/^# //p' "scripts/destroy.sh" >&2
  exit 2
}
say() { echo "[INFO] $*"; }
fail() {
  echo "[ERROR] $*" >&2
  exit 1
}

environment=${1:-}
[ -d "environments/${environment:-none}" ] || usage
shift
yes=no typed=''
more=()
while [ $# -gt 0 ]; do
  case $1 in
    --yes) yes=yes ;;
    --audit-store)
      [ $# -gt 1 ] || usage
      typed=$2
      shift
      ;;
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
for program in terraform aws python3; do command -v "$program" >/dev/null || fail "$program is not on PATH"; done

terraform init -input=false >/dev/null
terraform workspace select "$environment" >/dev/null 2>&1 || fail "nothing of $environment stands here (no such workspace)"
output() { terraform output -raw "$1" 2>/dev/null || true; }
project=$(output project_name)
[ -n "$project" ] || fail "nothing of $environment stands here (no outputs)"
region=$(output aws_region)
readonly store=$project-$environment
readonly emptied=("$(output raw_bucket_name)" "$(output processed_bucket_name)" "$(output logs_bucket_name)")

echo "Goes, with everything in it and every version of it:"
for bucket in "${emptied[@]}"; do echo "  bucket $bucket"; done
echo "  table $store-sources (where raw objects lie), the keys of raw and processed objects"
echo "  functions, roles, bus and archive, workflow, queues, topics, logs, alarms, dashboard"
echo "Stays, unless its name is typed:"
echo "  audit store $store: tables ledger, head, seal, views and cursors,"
echo "  buckets $(output tiles_bucket_name) and $(output audit_bucket_name),"
echo "  the keys that sign, encrypt and hash, and the auditor's role"

if [ "$yes" = no ]; then
  read -r -p "Type $environment to take it down: " answer || answer=
  [ "$answer" = "$environment" ] || fail "nothing was changed"
  [ -n "$typed" ] || read -r -p "Type $store to delete the audit store too, or nothing to keep it: " typed || typed=
fi
[ -z "$typed" ] || [ "$typed" = "$store" ] || fail "the audit store is $store, not $typed; nothing was changed"

# Deletes all versions and delete markers of a bucket, a thousand at a time. With --bypass-governance-retention as second argument it
# goes past a GOVERNANCE lock, which takes the permission to; past a COMPLIANCE lock nothing goes.
empty() {
  local bucket=$1 batch
  batch=$(mktemp)
  say "emptying $bucket"
  while true; do
    if ! aws --region "$region" s3api list-object-versions --bucket "$bucket" --max-items 1000 --output json \
      >"$batch" 2>"$batch.error"; then
      # A bucket that went in an earlier run is as empty as one can be.
      if grep -q NoSuchBucket "$batch.error"; then break; fi
      cat "$batch.error" >&2
      rm -f "$batch" "$batch.error"
      return 1
    fi
    python3 - "$batch" <<'PYTHON' || break
import json
import sys

text = open(sys.argv[1]).read()
page = json.loads(text) if text.strip() else {}
found = (page.get("Versions") or []) + (page.get("DeleteMarkers") or [])
objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]
json.dump({"Objects": objects, "Quiet": True}, open(sys.argv[1], "w"))
sys.exit(not objects)
PYTHON
    aws --region "$region" s3api delete-objects --bucket "$bucket" --delete "file://$batch" "${@:2}" --output json \
      >"$batch.answer" || return 1
    if grep -q '"Errors"' "$batch.answer"; then
      say "$bucket: some versions cannot be deleted (is their lock still in force?)"
      rm -f "$batch" "$batch.answer" "$batch.error"
      return 1
    fi
  done
  rm -f "$batch" "$batch.answer" "$batch.error"
}

arguments=(-input=false -auto-approve -var-file="$variables" -var deletion_protection=false ${more[@]+"${more[@]}"})
# First what writes, so that nothing appears in a bucket that was just emptied; then the buckets.
terraform destroy "${arguments[@]}" -target=module.observability -target=module.pipeline
for bucket in "${emptied[@]}"; do empty "$bucket" || fail "$bucket could not be emptied; run this again"; done
locked=no
if [ -n "$typed" ]; then
  # The lock decides: if it holds the checkpoints, all that they prove stays with them.
  empty "$(output audit_bucket_name)" --bypass-governance-retention || locked=yes
fi
if [ -n "$typed" ] && [ "$locked" = no ]; then
  empty "$(output tiles_bucket_name)" || fail "the bucket of tiles could not be emptied; run this again"
  # Tables are protected until they are told not to be.
  terraform apply "${arguments[@]}" -target=module.ledger -target=module.objects
  terraform destroy "${arguments[@]}"
  rm -f "outputs.$environment.json"
  say "all of $store is gone; its KMS keys can be brought back for some days"
else
  terraform apply "${arguments[@]}" -target=module.objects.aws_dynamodb_table.sources
  terraform destroy "${arguments[@]}" -target=module.objects
  [ "$locked" = no ] || fail "all but the audit store $store is gone: its lock still holds it. Run this again when it has ended"
  say "the audit store $store stands; deploy.sh $environment goes on with it"
fi
