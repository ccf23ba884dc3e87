//! The step table as an Amazon States Language document, for a STANDARD state machine; a `templatefile` of Terraform
//! that fills in `${<step>_function_arn}`.
//!
//! The execution input is the stream id alone. A failure travels as `$.failure` with Error and Cause; our functions put a
//! reason code, a constant sentence and a tag path there, never a value.

use serde_json::{Map, Value, json};

use super::{End, FIRST, FailureKind, Next, SERVICE_ERRORS, STEPS, StepRow, worst_case_s};

/// Returns the placeholder of the step's function in the rendered file: `${record_failure_function_arn}`.
pub fn function_placeholder(row: &StepRow) -> String {
    format!("${{{}_function_arn}}", row.name.replace('-', "_"))
}

/// Returns `terraform/upload.asl.json`.
pub fn render() -> String {
    let mut states = Map::new();
    for row in STEPS {
        if let Some(state) = row.state {
            states.insert(state.to_owned(), task(row));
        }
    }
    for end in End::ALL {
        states.insert(end.state().to_owned(), end_state(end));
    }
    let machine = json!({
        "Comment": "Rendered from domain/src/workflow.rs; do not edit. The work on one upload; the input is {\"stream_id\": ...}.",
        "StartAt": FIRST.row().state,
        "TimeoutSeconds": worst_case_s(),
        "States": states,
    });
    super::rendered_text(&machine)
}

fn state_name(next: Next) -> &'static str {
    match next {
        Next::Step(step) => step.row().state.expect("no row leads back to intake; a test walks every row"),
        Next::End(end) => end.state(),
    }
}

fn task(row: &StepRow) -> Value {
    let mut payload = json!({
        "stream_id.$": "$.stream_id",
        "execution.$": "$$.Execution.Name",
        "retry.$": "$$.State.RetryCount",
    });
    if row.takes_failure {
        payload["failure.$"] = json!("$.failure");
    }
    let mut transient = vec![FailureKind::Transient.error_name()];
    transient.extend(SERVICE_ERRORS);
    json!({
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": { "FunctionName": function_placeholder(row), "Payload": payload },
        // The function's answer is dropped: what it did stands in the ledger, and the input goes on as it is.
        "ResultPath": null,
        "TimeoutSeconds": row.timeout_s,
        "Retry": [{
            "ErrorEquals": transient,
            "IntervalSeconds": row.retry.interval_ms / 1_000,
            "MaxAttempts": row.retry.retries_max,
            "BackoffRate": row.retry.backoff,
            "MaxDelaySeconds": row.retry.interval_ms_max / 1_000,
            "JitterStrategy": "FULL",
        }],
        "Catch": [
            { "ErrorEquals": [FailureKind::Rejected.error_name()], "ResultPath": "$.failure", "Next": state_name(row.on_rejected) },
            { "ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": state_name(row.on_failed) },
        ],
        "Next": state_name(row.next),
    })
}

fn end_state(end: End) -> Value {
    match end {
        End::Delivered | End::Quarantined => json!({ "Type": "Succeed" }),
        End::Failed => json!({
            "Type": "Fail",
            "Error": "Failed",
            "Cause": "The failure is recorded in the ledger as imaging.processing.failed.v1.",
        }),
        End::NotRecorded => json!({
            "Type": "Fail",
            "Error": "NotRecorded",
            "Cause": "The failure could not be recorded; the stream stays open and the sweeper finds it.",
        }),
    }
}
