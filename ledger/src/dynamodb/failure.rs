//! What a failed call to DynamoDB leaves behind: nothing (and may be tried again, or not), or nobody knows.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::Error;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// How a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was not done, because too much is asked at the moment.
    Busy(Source),
    /// No answer, or one that leaves open whether it was done.
    Lost(Source),
    /// It was not done, and trying again does not help.
    Refused(Error),
}

impl Failure {
    /// Returns the error of a call that changes nothing: there is nothing to be unsure of.
    pub(super) fn of_a_read(self) -> Error {
        match self {
            Self::Busy(source) | Self::Lost(source) => Error::Unavailable { source: Some(source) },
            Self::Refused(error) => error,
        }
    }
}

/// Says how a call failed. What is not known to have been refused counts as lost.
pub(super) fn failure<E>(error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, status) = match &error {
        SdkError::ServiceError(answer) => (answer.err().code(), answer.raw().status().as_u16()),
        // Nothing was sent: no credentials, or a request that could not be made.
        SdkError::ConstructionFailure(_) => return Failure::Refused(Error::NoAccess { source: Some(error.into()) }),
        _ => return Failure::Lost(error.into()),
    };
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException" | "ThrottlingException" | "Throttling" | "RequestLimitExceeded" => {
            Failure::Busy(error.into())
        }
        "ResourceNotFoundException" => Failure::Refused(Error::Missing),
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => Failure::Refused(Error::NoAccess { source: Some(error.into()) }),
        // A server that failed may have written first (Amazon DynamoDB Developer Guide, "Error handling").
        _ if status >= 500 => Failure::Lost(error.into()),
        _ => Failure::Refused(Error::Unavailable { source: Some(error.into()) }),
    }
}

/// Returns the error for what no append wrote.
pub(super) fn damaged(what: &'static str) -> Error {
    Error::Damaged { what, leaf_index: None, source: None }
}
