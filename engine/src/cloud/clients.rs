//! The SDK clients, from the standard AWS environment or for the embedded stack.

use std::sync::Mutex;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_config::meta::region::RegionProviderChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_types::checksum_config::RequestChecksumCalculation;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;

use super::http;
use crate::error::{Error, Result};
use crate::stack::Endpoints;

/// How long a connection may take to open.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long one attempt at an S3 request may take until its answer starts, its body's way up included.
/// Generous, since a slow uplink is no fault: the SDK's stalled stream protection ends a transfer that
/// makes no progress for 20 seconds, and this ends one that was sent whole and never answered.
const S3_ANSWER_WAIT_MAX: Duration = Duration::from_mins(10);

/// How long one attempt at a DynamoDB request may take. Items are at most 400 KB.
const DYNAMODB_ATTEMPT_WAIT_MAX: Duration = Duration::from_secs(20);

/// How long finding credentials may take, a single sign-on or a credential process included.
const CREDENTIALS_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long the metadata service of an EC2 instance may take for one answer. Elsewhere nothing answers.
const METADATA_WAIT_MAX: Duration = Duration::from_secs(1);

/// The clients of the services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clients {
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// DynamoDB Streams.
    pub streams: aws_sdk_dynamodbstreams::Client,
    /// CloudWatch; none where the table lies outside of AWS and no endpoint for it is named: numbers of a local
    /// service are none of AWS's business.
    pub cloudwatch: Option<aws_sdk_cloudwatch::Client>,
    /// SNS; none likewise.
    pub sns: Option<aws_sdk_sns::Client>,
}

impl Clients {
    /// Clients from the standard AWS chain: environment variables, profiles, roles, single sign-on,
    /// container and instance credentials; `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_DYNAMODB` and
    /// `AWS_ENDPOINT_URL_DYNAMODB_STREAMS` where the services are not AWS. Requests are retried as the SDK does by itself: three attempts in all,
    /// or `AWS_MAX_ATTEMPTS`.
    ///
    /// # Errors
    /// Exit 78 with a hint when no region or no credentials can be found.
    pub async fn from_environment() -> Result<Self> {
        let http = http::from_environment()?;
        let provider = ProviderConfig::without_region().with_http_client(http.clone());
        let metadata = imds::Client::builder()
            .configure(&provider)
            .max_attempts(1)
            .connect_timeout(METADATA_WAIT_MAX)
            .read_timeout(METADATA_WAIT_MAX)
            .build();
        let region = region(&provider, &metadata).await?;
        let chain = DefaultCredentialsChain::builder()
            .configure(provider)
            .imds_client(metadata)
            .region(region.clone())
            .build()
            .await;
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(region)
            .credentials_provider(Primed::new(chain).await?)
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_WAIT_MAX).build())
            .load()
            .await;
        Ok(Self::new(&sdk))
    }

    /// Clients for the embedded stack. Nothing is read from the user's AWS environment or files.
    #[expect(
        clippy::unused_async,
        reason = "the same shape as from_environment: callers choose one or the other"
    )]
    pub async fn for_endpoints(endpoints: &Endpoints) -> Self {
        let credentials = Credentials::new(
            &endpoints.access_key,
            &endpoints.secret_key,
            None,
            None,
            "embedded stack",
        );
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http::direct())
            .region(Region::new(endpoints.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_WAIT_MAX).build())
            .build();
        let s3 = s3_config(&shared)
            .endpoint_url(&endpoints.s3)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        let dynamodb = dynamodb_config(&shared).endpoint_url(&endpoints.dynamodb);
        let streams = streams_config(&shared).endpoint_url(&endpoints.dynamodb);
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams.build()),
            cloudwatch: None,
            sns: None,
        }
    }

    fn new(sdk: &SdkConfig) -> Self {
        let mut s3 = s3_config(sdk);
        if is_foreign(endpoint(sdk, "S3").as_deref()) {
            // Other stores rarely resolve a bucket's name as a host, and some refuse the newer checksums.
            s3 = s3.force_path_style(true);
            if configured(
                sdk,
                "S3",
                "AWS_REQUEST_CHECKSUM_CALCULATION",
                "request_checksum_calculation",
            )
            .is_none()
            {
                s3 = s3.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
            }
        }
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb_config(sdk).build()),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams_config(sdk).build()),
            cloudwatch: is_there(sdk, "CloudWatch").then(|| {
                let config = aws_sdk_cloudwatch::config::Builder::from(sdk).timeout_config(attempts());
                aws_sdk_cloudwatch::Client::from_conf(config.build())
            }),
            sns: is_there(sdk, "SNS").then(|| {
                let config = aws_sdk_sns::config::Builder::from(sdk).timeout_config(attempts());
                aws_sdk_sns::Client::from_conf(config.build())
            }),
        }
    }
}

fn s3_config(sdk: &SdkConfig) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_WAIT_MAX)
        .read_timeout(S3_ANSWER_WAIT_MAX)
        .build();
    aws_sdk_s3::config::Builder::from(sdk).timeout_config(timeouts)
}

fn dynamodb_config(sdk: &SdkConfig) -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::config::Builder::from(sdk).timeout_config(attempts())
}

fn attempts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_WAIT_MAX)
        .operation_attempt_timeout(DYNAMODB_ATTEMPT_WAIT_MAX)
        .build()
}

/// Requests are not repeated here: the reader paces itself, and has to know that it was throttled.
fn streams_config(sdk: &SdkConfig) -> aws_sdk_dynamodbstreams::config::Builder {
    aws_sdk_dynamodbstreams::config::Builder::from(sdk)
        .timeout_config(attempts())
        .retry_config(RetryConfig::disabled())
}

/// The endpoint that is set for a service, if one is.
fn endpoint(sdk: &SdkConfig, service: &'static str) -> Option<String> {
    configured(sdk, service, "AWS_ENDPOINT_URL", "endpoint_url")
        .or_else(|| sdk.endpoint_url().map(ToOwned::to_owned))
}

/// Whether a service that the jobs do not need is there for us: where the table lies in AWS, or by an endpoint
/// of its own.
fn is_there(sdk: &SdkConfig, service: &'static str) -> bool {
    endpoint(sdk, service).is_some() || !is_foreign(endpoint(sdk, "DynamoDB").as_deref())
}

/// A setting as the environment or the profile gives it for a service.
fn configured(sdk: &SdkConfig, service: &'static str, env: &str, profile: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env(env)
        .profile(profile)
        .build()
        .ok()?;
    sdk.service_config()?.load_config(key)
}

/// Whether an endpoint was set that is not AWS's own.
fn is_foreign(endpoint: Option<&str>) -> bool {
    let Some(endpoint) = endpoint else { return false };
    let host = endpoint
        .parse::<hyper::Uri>()
        .ok()
        .and_then(|url| url.host().map(str::to_ascii_lowercase));
    host.is_none_or(|host| {
        !["amazonaws.com", "amazonaws.com.cn", "api.aws"]
            .iter()
            .any(|own| host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')))
    })
}

async fn region(provider: &ProviderConfig, metadata: &imds::Client) -> Result<Region> {
    RegionProviderChain::first_try(aws_config::environment::EnvironmentVariableRegionProvider::new())
        .or_else(
            aws_config::profile::ProfileFileRegionProvider::builder()
                .configure(provider)
                .build(),
        )
        .or_else(
            imds::region::ImdsRegionProvider::builder()
                .configure(provider)
                .imds_client(metadata.clone())
                .build(),
        )
        .region()
        .await
        .ok_or_else(|| {
            Error::config("no AWS region is configured").hint(
                "set AWS_REGION, or region in the AWS profile; for the embedded stack, use the lines that \
                 `roundtrip stack` prints",
            )
        })
}

/// A credentials chain that was asked once already: the first answer is handed on, so that a sign-on or a
/// credential process is not run twice at start.
#[derive(Debug)]
struct Primed {
    first: Mutex<Option<Credentials>>,
    chain: DefaultCredentialsChain,
}

impl Primed {
    async fn new(chain: DefaultCredentialsChain) -> Result<Self> {
        let answer = tokio::time::timeout(CREDENTIALS_WAIT_MAX, chain.provide_credentials()).await;
        match answer {
            Ok(Ok(credentials)) => Ok(Self {
                first: Mutex::new(Some(credentials)),
                chain,
            }),
            Ok(Err(error)) => Err(without_credentials(error)),
            Err(_) => Err(Error::away(format!(
                "no AWS credentials after {} s: their source does not answer",
                CREDENTIALS_WAIT_MAX.as_secs()
            ))),
        }
    }

    async fn provide(&self) -> Result<Credentials, CredentialsError> {
        let first = self.first.lock().ok().and_then(|mut first| first.take());
        match first {
            Some(credentials) => Ok(credentials),
            None => self.chain.provide_credentials().await,
        }
    }
}

impl ProvideCredentials for Primed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.chain.fallback_on_interrupt()
    }
}

fn without_credentials(error: CredentialsError) -> Error {
    let what = match error {
        CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials are configured",
        CredentialsError::InvalidConfiguration(_) => "the AWS configuration is not valid",
        CredentialsError::ProviderTimedOut(_)
        | CredentialsError::ProviderError(_)
        | CredentialsError::Unhandled(_)
        // The SDK's enum is open.
        | _ => "the AWS credentials cannot be loaded",
    };
    Error::config(what).because(error).hint(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or sign in with `aws sso login`; for \
         the embedded stack, use the lines that `roundtrip stack` prints",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_aws_keep_its_addressing() {
        for own in [
            "https://s3.eu-central-1.amazonaws.com",
            "https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
            "https://s3.cn-north-1.amazonaws.com.cn",
            "https://s3.dualstack.us-east-1.api.aws",
        ] {
            assert!(!is_foreign(Some(own)), "{own}");
        }
        assert!(!is_foreign(None));
        for other in [
            "http://127.0.0.1:9000",
            "https://minio.lab.example",
            "https://evilamazonaws.com",
        ] {
            assert!(is_foreign(Some(other)), "{other}");
        }
    }
}
