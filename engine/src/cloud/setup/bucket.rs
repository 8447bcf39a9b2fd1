//! The bucket of chunks: made, and given its rules.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CreateBucketConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    PublicAccessBlockConfiguration,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use roundtrip_core::names::OWNER;

use super::{Outcome, Report, UNFINISHED_UPLOAD_DAYS};
use crate::cloud::Fault;
use crate::cloud::objects::Objects;
use crate::error::{Error, Result};

const RULE: &str = "roundtrip-unfinished-uploads";

pub(super) async fn ensure(client: &Client, name: &str, report: &mut Report) -> Result<()> {
    let outcome = if exists(client, name).await? {
        Outcome::Found
    } else {
        create(client, name).await?;
        Outcome::Made
    };
    report.note(format!("bucket `{name}`"), outcome);
    ensure_lifecycle(client, name, report).await?;
    ensure_private(client, name, report).await
}

/// Lets the bucket name the table as its own: only a bucket that does is swept. The first table stays.
pub(super) async fn claim(client: &Client, name: &str, table: &str, report: &mut Report) -> Result<()> {
    let thing = format!("owner of `{name}`: table `{table}`");
    let objects = Objects::new(client.clone(), name);
    let failed = |fault: Fault| {
        let failure = fault.during(format!("cannot set the {thing}"));
        failure.hint(format!(
            "setup needs s3:GetObject and s3:PutObject on `{name}/{OWNER}`"
        ))
    };
    let (owner, outcome) = match objects.owner().await.map_err(failed)? {
        Some(owner) => (owner, Outcome::Found),
        None => match objects.claim(table).await {
            Ok(owner) => (owner, Outcome::Made),
            // Without puts that take "only if absent", two setups could not agree.
            Err(Fault::Permanent(reason)) => {
                report.left_out(thing, reason);
                return Ok(());
            }
            Err(fault) => return Err(failed(fault)),
        },
    };
    if owner == table {
        report.note(thing, outcome);
    } else {
        let reason =
            format!("the bucket belongs to the table `{owner}`: `sweep` deletes nothing for this one");
        report.left_out(thing, reason);
    }
    Ok(())
}

pub(super) async fn check(client: &Client, name: &str) -> Result<()> {
    if exists(client, name).await? {
        Ok(())
    } else {
        Err(Fault::Missing("it does not exist".to_owned()).during(doing(name)))
    }
}

fn doing(name: &str) -> String {
    format!("cannot use the bucket `{name}`")
}

/// A listing rather than a HEAD: its refusals carry the service's own code and message.
async fn exists(client: &Client, name: &str) -> Result<bool> {
    let Err(error) = client.list_objects_v2().bucket(name).max_keys(1).send().await else {
        return Ok(true);
    };
    match (Fault::of(&error), error.code()) {
        (Fault::Missing(_) | Fault::Absent(_), _) => Ok(false),
        (fault @ Fault::Permanent(_), Some("PermanentRedirect" | "IllegalLocationConstraintException")) => {
            Err(fault
                .during(doing(name))
                .hint("the bucket is in another region: set AWS_REGION to it"))
        }
        (fault, _) => Err(fault.during(doing(name))),
    }
}

async fn create(client: &Client, name: &str) -> Result<()> {
    let mut request = client.create_bucket().bucket(name);
    // us-east-1 is the default and must not be named.
    if let Some(region) = client
        .config()
        .region()
        .map(AsRef::as_ref)
        .filter(|region| *region != "us-east-1")
    {
        let constraint = BucketLocationConstraint::from(region);
        request = request.create_bucket_configuration(
            CreateBucketConfiguration::builder()
                .location_constraint(constraint)
                .build(),
        );
    }
    let Err(error) = request.send().await else {
        return Ok(());
    };
    match error.code() {
        // Another setup was first.
        Some("BucketAlreadyOwnedByYou") => Ok(()),
        Some("BucketAlreadyExists") if exists(client, name).await? => Ok(()),
        Some("BucketAlreadyExists") => Err(Error::config(format!(
            "the bucket name `{name}` belongs to someone else"
        ))
        .hint("bucket names are shared by all of AWS: choose another with --bucket or ROUNDTRIP_BUCKET")),
        Some("InvalidBucketName") => Err(Error::config(format!("`{name}` cannot be a bucket's name"))
            .hint("3 to 63 lower-case letters, digits, dots and hyphens")),
        _ => Err(Fault::of(&error).during(format!("cannot make the bucket `{name}`"))),
    }
}

/// Adds the rule that drops unfinished uploads, beside the rules that are there.
async fn ensure_lifecycle(client: &Client, name: &str, report: &mut Report) -> Result<()> {
    let thing = format!("rule to drop unfinished uploads of `{name}` after {UNFINISHED_UPLOAD_DAYS} days");
    let mut rules = match client
        .get_bucket_lifecycle_configuration()
        .bucket(name)
        .send()
        .await
    {
        Ok(answer) => answer.rules.unwrap_or_default(),
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Vec::new(),
        Err(error) => return optional(&error, thing, name, report),
    };
    if rules
        .iter()
        .any(|rule| rule.abort_incomplete_multipart_upload.is_some())
    {
        report.note(thing, Outcome::Found);
        return Ok(());
    }
    let abort = AbortIncompleteMultipartUpload::builder()
        .days_after_initiation(UNFINISHED_UPLOAD_DAYS)
        .build();
    let rule = LifecycleRule::builder()
        .id(RULE)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .abort_incomplete_multipart_upload(abort)
        .build()
        .map_err(|error| Error::failed("a request could not be put together").because(error))?;
    rules.push(rule);
    let configuration = BucketLifecycleConfiguration::builder()
        .set_rules(Some(rules))
        .build()
        .map_err(|error| Error::failed("a request could not be put together").because(error))?;
    let request = client
        .put_bucket_lifecycle_configuration()
        .bucket(name)
        .lifecycle_configuration(configuration);
    match request.send().await {
        Ok(_) => {
            report.note(thing, Outcome::Made);
            Ok(())
        }
        Err(error) => optional(&error, thing, name, report),
    }
}

/// Keeps the public out. A setting that somebody made on purpose is left alone.
async fn ensure_private(client: &Client, name: &str, report: &mut Report) -> Result<()> {
    let thing = format!("block of public access to `{name}`");
    match client.get_public_access_block().bucket(name).send().await {
        Ok(answer) => {
            let blocked = answer.public_access_block_configuration.is_some_and(|block| {
                [
                    block.block_public_acls,
                    block.block_public_policy,
                    block.ignore_public_acls,
                    block.restrict_public_buckets,
                ]
                .iter()
                .all(|part| *part == Some(true))
            });
            if blocked {
                report.note(thing, Outcome::Found);
            } else {
                report.left_out(
                    thing,
                    "the bucket's owner allows some public access; that is left as it is",
                );
            }
            return Ok(());
        }
        Err(error) if error.code() == Some("NoSuchPublicAccessBlockConfiguration") => {}
        Err(error) => return optional(&error, thing, name, report),
    }
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    match client
        .put_public_access_block()
        .bucket(name)
        .public_access_block_configuration(block)
        .send()
        .await
    {
        Ok(_) => {
            report.note(thing, Outcome::Made);
            Ok(())
        }
        Err(error) => optional(&error, thing, name, report),
    }
}

/// A store that has no such rules works without them; any other failure is one.
fn optional<E: ProvideErrorMetadata>(
    error: &SdkError<E, HttpResponse>,
    thing: String,
    name: &str,
    report: &mut Report,
) -> Result<()> {
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let unknown = matches!(
        error.code(),
        Some("NotImplemented" | "MethodNotAllowed" | "UnknownOperation")
    );
    if unknown || matches!(status, Some(405 | 501)) {
        report.left_out(thing, "this S3 does not have it");
        return Ok(());
    }
    let fault = Fault::of(error);
    let denied = matches!(fault, Fault::Denied(_));
    let failure = fault.during(format!("cannot set the {thing}"));
    Err(if denied {
        failure.hint(format!(
            "setup needs s3:GetLifecycleConfiguration, s3:PutLifecycleConfiguration, \
             s3:GetBucketPublicAccessBlock and s3:PutBucketPublicAccessBlock on `{name}`"
        ))
    } else {
        failure
    })
}
