//! Writing, copying and deleting objects.

use s3s::dto::{
    Checksum, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error as RefusedKey,
    MetadataDirective, PutObjectInput, PutObjectOutput,
};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::blobs::Blob;
use super::checksum::Declared;
use super::index::{self, Attributes, Condition, Entry, now, timestamp};
use super::key::Key;
use super::{Objects, internal};

/// The most keys in one request to delete, as in S3.
const DELETES_MAX: usize = 1000;

impl Objects {
    pub(super) async fn put(
        &self,
        input: PutObjectInput,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<PutObjectOutput> {
        let key = Key::parse(input.key)?;
        let bucket = input.bucket;
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let declared = Declared {
            md5: input.content_md5,
            checksum: Checksum {
                checksum_crc32: input.checksum_crc32,
                checksum_crc32c: input.checksum_crc32c,
                checksum_crc64nvme: input.checksum_crc64nvme,
                checksum_sha1: input.checksum_sha1,
                checksum_sha256: input.checksum_sha256,
                ..Checksum::default()
            },
            algorithm: input.checksum_algorithm,
            trailers,
        };
        // Not after the whole body has come: a bucket that is not there is known before.
        self.require_bucket(bucket.clone()).await?;
        let received = self.blobs.receive(body, declared).await?;
        let checksum = received.checksum;
        let attributes = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata,
            crc32: checksum.checksum_crc32.clone(),
            crc32c: checksum.checksum_crc32c.clone(),
            crc64nvme: checksum.checksum_crc64nvme.clone(),
            sha1: checksum.checksum_sha1.clone(),
            sha256: checksum.checksum_sha256.clone(),
        };
        let size = i64::try_from(received.size).map_err(internal)?;
        let entry = Entry {
            blob: received.blob.name().to_owned(),
            size,
            etag: hex::encode(received.md5),
            modified: now(),
            attributes,
        };
        let e_tag = Some(entry.etag());
        let condition = Condition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        };
        self.commit(bucket, key, entry, condition, received.blob).await?;
        Ok(PutObjectOutput {
            e_tag,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..PutObjectOutput::default()
        })
    }

    /// Makes a body an object. The body travels into the blocking work, so that a client which goes away in
    /// the middle leaves either both, row and body, or neither.
    async fn commit(
        &self,
        bucket: String,
        key: Key,
        entry: Entry,
        condition: Condition,
        blob: Blob,
    ) -> S3Result<()> {
        self.blocking(move |store| {
            blob.sync().map_err(internal)?;
            let replaced = store
                .index
                .transact(|transaction| index::put(transaction, &bucket, &key, &entry, &condition))?;
            blob.keep();
            store.blobs.remove(replaced);
            Ok(())
        })
        .await
    }

    pub(super) async fn copy(&self, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
        let key = Key::parse(input.key)?;
        let CopySource::Bucket {
            bucket: from_bucket,
            key: from_key,
            version_id: None,
        } = input.copy_source
        else {
            return Err(s3_error!(
                NotImplemented,
                "only a bucket and a key can be copied from"
            ));
        };
        let from_key = Key::parse(from_key)?;
        let bucket = input.bucket;
        let replace = input
            .metadata_directive
            .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let replacement = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata,
            ..Attributes::default()
        };
        let result = self
            .blocking(move |store| {
                // One transaction, so that the source's body cannot be removed before it is linked.
                let (entry, blob, replaced) = store.index.transact(|transaction| {
                    let mut entry = index::entry(transaction, &from_bucket, &from_key)?;
                    let blob = store.blobs.link(&entry.blob).map_err(internal)?;
                    blob.sync().map_err(internal)?;
                    blob.name().clone_into(&mut entry.blob);
                    entry.modified = now();
                    if replace {
                        entry.attributes = Attributes {
                            crc32: entry.attributes.crc32,
                            crc32c: entry.attributes.crc32c,
                            crc64nvme: entry.attributes.crc64nvme,
                            sha1: entry.attributes.sha1,
                            sha256: entry.attributes.sha256,
                            ..replacement
                        };
                    }
                    let replaced = index::put(transaction, &bucket, &key, &entry, &Condition::default())?;
                    Ok((entry, blob, replaced))
                })?;
                blob.keep();
                store.blobs.remove(replaced);
                Ok(CopyObjectResult {
                    e_tag: Some(entry.etag()),
                    last_modified: Some(timestamp(entry.modified)),
                    ..CopyObjectResult::default()
                })
            })
            .await?;
        Ok(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        })
    }

    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        let key = Key::parse(input.key)?;
        let bucket = input.bucket;
        self.blocking(move |store| {
            let deleted = store.index.transact(|transaction| {
                index::require_bucket(transaction, &bucket)?;
                index::delete(transaction, &bucket, &key)
            })?;
            store.blobs.remove(deleted);
            Ok(())
        })
        .await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        let bucket = input.bucket;
        let quiet = input.delete.quiet.unwrap_or_default();
        if input.delete.objects.len() > DELETES_MAX {
            return Err(s3_error!(
                MalformedXML,
                "at most {DELETES_MAX} keys in one request"
            ));
        }
        let (mut keys, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            match Key::parse(object.key.clone()) {
                Ok(key) => keys.push(key),
                Err(refusal) => errors.push(RefusedKey {
                    key: Some(object.key),
                    code: Some(refusal.code().as_str().to_owned()),
                    message: refusal.message().map(str::to_owned),
                    ..RefusedKey::default()
                }),
            }
        }
        let deleted = self
            .blocking(move |store| {
                let blobs = store.index.transact(|transaction| {
                    index::require_bucket(transaction, &bucket)?;
                    let mut blobs = Vec::new();
                    for key in &keys {
                        blobs.extend(index::delete(transaction, &bucket, key)?);
                    }
                    Ok(blobs)
                })?;
                store.blobs.remove(blobs);
                let deleted = |key: Key| DeletedObject {
                    key: Some(key.into_string()),
                    ..DeletedObject::default()
                };
                Ok(keys.into_iter().map(deleted).collect::<Vec<_>>())
            })
            .await?;
        Ok(DeleteObjectsOutput {
            deleted: (!quiet && !deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        })
    }
}
