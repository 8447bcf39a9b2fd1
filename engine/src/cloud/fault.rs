//! What a failed request means: worth repeating, refused, or missing something.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, DispatchFailure};

use crate::error::Error;

/// A failed request to S3 or DynamoDB, with a short text: the service's code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The service is away, busy or slow: the same request may work later.
    Transient(String),
    /// The request itself is wrong or lost its condition: the same one fails again.
    Permanent(String),
    /// The service answered that it does not take what the request says, such as a record that is too large.
    Unacceptable(String),
    /// The credentials are missing, wrong, expired or not allowed to do this.
    Denied(String),
    /// The bucket, table or index is not there.
    Missing(String),
    /// The object is not there.
    Absent(String),
}

impl Fault {
    /// Classifies a failed request.
    pub fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(answer) => service(
                answer.err().code(),
                answer.err().message(),
                answer.raw().status().as_u16(),
            ),
            SdkError::DispatchFailure(failure) => dispatch(failure),
            SdkError::TimeoutError(_) => Self::Transient("the service did not answer in time".to_owned()),
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                Self::Transient(format!("the answer (HTTP {status}) could not be read"))
            }
            SdkError::ConstructionFailure(_) => {
                Self::Permanent("the request could not be put together from its parameters".to_owned())
            }
            // The SDK's enum is open.
            _ => Self::Transient("the request failed".to_owned()),
        }
    }

    /// The text, without what it means.
    pub fn text(&self) -> &str {
        match self {
            Self::Transient(text)
            | Self::Permanent(text)
            | Self::Unacceptable(text)
            | Self::Denied(text)
            | Self::Missing(text)
            | Self::Absent(text) => text,
        }
    }

    /// `value` where the object was not there; the fault otherwise.
    pub fn if_absent<T>(self, value: T) -> Result<T, Self> {
        match self {
            Self::Absent(_) => Ok(value),
            Self::Transient(_)
            | Self::Permanent(_)
            | Self::Unacceptable(_)
            | Self::Denied(_)
            | Self::Missing(_) => Err(self),
        }
    }

    /// Whether the same request may work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transient(_) => true,
            Self::Permanent(_)
            | Self::Unacceptable(_)
            | Self::Denied(_)
            | Self::Missing(_)
            | Self::Absent(_) => false,
        }
    }

    /// The error at the edge, where `doing` says what failed: ``cannot read the table `jobs` ``.
    pub fn during(self, doing: impl fmt::Display) -> Error {
        let what = format!("{doing}: {}", self.text());
        match self {
            Self::Transient(_) => Error::away(what).hint(
                "check that the service is up and reachable, then try again; AWS_ENDPOINT_URL_S3, \
                 AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_DYNAMODB_STREAMS, where set, say where it is",
            ),
            Self::Permanent(_) | Self::Unacceptable(_) => Error::config(what),
            Self::Absent(_) => Error::failed(what),
            Self::Denied(_) => Error::config(what).hint(
                "check the AWS credentials and what they are allowed to do; for the embedded stack, use the lines \
                 that `roundtrip stack` prints",
            ),
            Self::Missing(_) => Error::config(what).hint("make it with `roundtrip setup`, or correct the name"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl StdError for Fault {}

fn service(code: Option<&str>, message: Option<&str>, status: u16) -> Fault {
    let text = match (code, message) {
        (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
        (Some(code), _) => format!("{code} (HTTP {status})"),
        (None, Some(message)) if !message.is_empty() => format!("HTTP {status}: {message}"),
        (None, _) => format!("HTTP {status}"),
    };
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "LimitExceededException"
        | "TooManyRequestsException"
        | "InternalServerError"
        | "InternalError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ResourceInUseException" => Fault::Transient(text),
        "ValidationException" => Fault::Unacceptable(text),
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "NotSignedUp"
        | "OptInRequired"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "AuthorizationHeaderMalformed"
        | "Forbidden" => Fault::Denied(text),
        "RequestTimeTooSkewed" | "RequestExpired" => {
            Fault::Denied(format!("{text}; is this computer's clock right?"))
        }
        "NoSuchBucket" | "ResourceNotFoundException" | "TableNotFoundException" => Fault::Missing(text),
        "NoSuchKey" | "NoSuchUpload" | "NotFound" => Fault::Absent(text),
        _ => match status {
            408 | 425 | 429 | 500 | 502..=599 => Fault::Transient(text),
            401 | 403 => Fault::Denied(text),
            404 => Fault::Absent(text),
            _ => Fault::Permanent(text),
        },
    }
}

fn dispatch(failure: &DispatchFailure) -> Fault {
    let Some(error) = failure.as_connector_error() else {
        return Fault::Transient("the request could not be sent".to_owned());
    };
    if let Some(credentials) = credentials(error) {
        return credentials;
    }
    let cause = cause(error);
    if failure.is_timeout() {
        Fault::Transient(format!("the service did not answer in time ({cause})"))
    } else if failure.is_user() {
        Fault::Permanent(format!("the request could not be sent ({cause})"))
    } else if cause.contains("endpoint must contain scheme") {
        Fault::Permanent(format!(
            "{cause}: AWS_ENDPOINT_URL and its kind begin with http:// or https://"
        ))
    } else if cause.contains("certificate") {
        // An untrusted certificate does not mend itself.
        Fault::Permanent(format!("{cause}; name a private CA in AWS_CA_BUNDLE"))
    } else {
        Fault::Transient(format!("the service cannot be reached ({cause})"))
    }
}

/// The refusal behind a request that was never sent for want of credentials.
fn credentials(error: &ConnectorError) -> Option<Fault> {
    let found = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>())?;
    Some(match found {
        CredentialsError::ProviderTimedOut(_) => {
            Fault::Transient("the source of the credentials did not answer in time".to_owned())
        }
        CredentialsError::CredentialsNotLoaded(_) => {
            Fault::Denied("no credentials are configured".to_owned())
        }
        CredentialsError::InvalidConfiguration(_)
        | CredentialsError::ProviderError(_)
        | CredentialsError::Unhandled(_)
        // The SDK's enum is open.
        | _ => Fault::Denied(format!("the credentials cannot be loaded ({})", cause(found))),
    })
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(
        Some(error),
        |error: &&'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> {
            let error = *error;
            error.source()
        },
    )
}

/// The innermost cause says what happened; those around it say only where.
fn cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}
