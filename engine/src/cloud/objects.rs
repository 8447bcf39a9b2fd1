//! The bucket: small whole objects by key.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::{Bytes, BytesMut};
use roundtrip_core::at::Timestamp;
use roundtrip_core::caretaker::{Extent, Swept};
use roundtrip_core::job::Job;
use roundtrip_core::names::{JobKey, OWNER, ObjectPart};
use roundtrip_core::sweep::Object;

use super::fault::Fault;

/// No table's name is longer.
const TABLE_NAME_BYTES_MAX: u64 = 255;

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The whole object.
    Object(Bytes),
    /// There is none.
    Nothing,
    /// There is one, and it is larger than was allowed; its size in bytes.
    TooLarge(u64),
}

/// The bucket.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
}

impl Objects {
    /// The bucket of this name.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into(),
        }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Puts an object; the last writer wins. Repeating it is safe: whoever may write to a key writes the same there, but
    /// for results, which two fetchers write where one goes on after its lease. Either is whole, and sealed for the client.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), Fault> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(())
    }

    /// Reads an object of at most `bytes_max` bytes into memory.
    pub async fn get(&self, key: &str, bytes_max: u64) -> Result<Found, Fault> {
        let output = match self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(output) => output,
            Err(error) => {
                return Fault::of(&error).if_absent(Found::Nothing);
            }
        };
        let size = output
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or(0);
        if size > bytes_max {
            return Ok(Found::TooLarge(size));
        }
        let mut body = output.body;
        let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| Fault::Transient(format!("the object broke off: {error}")))?;
            bytes.extend_from_slice(&part);
            // The length that was announced is no promise.
            if bytes.len() as u64 > bytes_max {
                return Ok(Found::TooLarge(bytes.len() as u64));
            }
        }
        Ok(Found::Object(bytes.freeze()))
    }

    /// The table that the bucket names as its own; none where it names none.
    pub async fn owner(&self) -> Result<Option<String>, Fault> {
        match self.get(OWNER, TABLE_NAME_BYTES_MAX).await? {
            Found::Nothing => Ok(None),
            Found::Object(name) => Ok(Some(String::from_utf8_lossy(&name).trim().to_owned())),
            Found::TooLarge(size) => Err(Fault::Permanent(format!(
                "the object `{OWNER}` has {size} bytes: that is no table's name"
            ))),
        }
    }

    /// Makes this table the bucket's, unless the bucket names one already: the one it names then.
    pub async fn claim(&self, table: &str) -> Result<String, Fault> {
        let put = self.client.put_object().bucket(&self.bucket).key(OWNER);
        let body = Bytes::copy_from_slice(table.as_bytes());
        let put = put.if_none_match("*").body(ByteStream::from(body));
        let Err(error) = put.send().await else {
            return Ok(table.to_owned());
        };
        // Another setup was first: one of the two names counts, and that one is read.
        match (error.code(), self.owner().await?) {
            (Some("PreconditionFailed" | "ConditionalRequestConflict"), Some(owner)) => Ok(owner),
            _ => Err(Fault::of(&error)),
        }
    }

    /// Whether there is such an object.
    pub async fn exists(&self, key: &str) -> Result<bool, Fault> {
        match self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(_) => Ok(true),
            Err(error) => Fault::of(&error).if_absent(false),
        }
    }

    /// Deletes one object, if it is there.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Fault::of(&error).if_absent(()),
        }
    }

    /// Deletes a job's objects.
    pub async fn sweep(&self, key: &JobKey, extent: Extent) -> Result<Swept, Fault> {
        let (prefix, manifest, results) = (key.prefix(), key.manifest(), key.results());
        let keeps = |object: &str| extent == Extent::AllButResults && object == results;
        let mut swept = Swept::default();
        let mut token = None;
        loop {
            let page = self.list(&prefix, token.take()).await?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            let keys: Vec<String> = keys.filter(|key| !keeps(key)).map(ToOwned::to_owned).collect();
            swept.objects += keys.len() as u64;
            swept.manifest |= keys.contains(&manifest);
            self.delete_all(keys).await?;
            token = page.next_continuation_token().map(ToOwned::to_owned);
            if token.is_none() {
                return Ok(swept);
            }
        }
    }

    /// A page of the whole bucket behind a key, in the order of keys, and behind which key the next begins. An object
    /// that does not tell when it was written counts as written in the far future.
    pub async fn page(&self, after: Option<String>) -> Result<(Vec<Object>, Option<String>), Fault> {
        let request = self.client.list_objects_v2().bucket(&self.bucket);
        let page = request
            .set_start_after(after)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        let objects = page.contents().iter().filter_map(|object| {
            let modified = object.last_modified().and_then(|moment| moment.to_millis().ok());
            Some(Object {
                key: object.key()?.to_owned(),
                size: object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0),
                modified: Timestamp(modified.unwrap_or(i64::MAX)),
            })
        });
        let objects: Vec<Object> = objects.collect();
        let is_last = !page.is_truncated().unwrap_or_default();
        let next = objects
            .last()
            .map(|object| object.key.clone())
            .filter(|_| !is_last);
        Ok((objects, next))
    }

    /// Whether everything of a job is here: its manifest, which our clients put last, or every chunk.
    pub async fn has_all_of(&self, job: &Job) -> Result<bool, Fault> {
        if self.exists(&job.key.manifest()).await? {
            return Ok(true);
        }
        if job.outline.is_some() {
            return Ok(false);
        }
        let (prefix, mut chunks, mut token) = (job.key.prefix(), 0, None);
        loop {
            let page = self.list(&prefix, token.take()).await?;
            let parts = page
                .contents()
                .iter()
                .filter_map(|object| JobKey::of_object(object.key()?));
            let of_job = |part| matches!(part, ObjectPart::Chunk(index) if index < job.chunks);
            chunks += parts.filter(|(_, part)| of_job(*part)).count() as u64;
            token = page.next_continuation_token().map(ToOwned::to_owned);
            if chunks >= job.chunks || token.is_none() {
                return Ok(chunks >= job.chunks);
            }
        }
    }

    /// A page of what lies under a prefix.
    async fn list(&self, prefix: &str, token: Option<String>) -> Result<ListObjectsV2Output, Fault> {
        let request = self.client.list_objects_v2().bucket(&self.bucket);
        let page = request.prefix(prefix).set_continuation_token(token).send();
        page.await.map_err(|error| Fault::of(&error))
    }

    /// Deletes up to 1,000 objects, those that are there.
    pub async fn delete_all(&self, keys: Vec<String>) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        let wrong = |error: aws_sdk_s3::error::BuildError| Fault::Permanent(error.to_string());
        let objects: Result<Vec<_>, _> = keys
            .into_iter()
            .map(|key| ObjectIdentifier::builder().key(key).build().map_err(wrong))
            .collect();
        let delete = Delete::builder()
            .set_objects(Some(objects?))
            .quiet(true)
            .build()
            .map_err(wrong)?;
        let output = self
            .client
            .delete_objects()
            .bucket(&self.bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        match output.errors().first() {
            None => Ok(()),
            Some(error) => Err(Fault::Transient(format!(
                "{}: {}",
                error.code().unwrap_or("an object was not deleted"),
                error.message().unwrap_or_default()
            ))),
        }
    }
}
