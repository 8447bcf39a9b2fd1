//! Multipart uploads, from the request to the object.

use s3s::dto::{
    Checksum, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::checksum::Declared;
use super::index::{self, Attributes, Condition, Entry, now};
use super::key::Key;
use super::uploads;
use super::{Objects, internal};

impl Objects {
    pub(super) async fn create_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let key = Key::parse(input.key)?;
        let bucket = input.bucket;
        let attributes = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata,
            ..Attributes::default()
        };
        self.blocking(move |store| {
            let id = store
                .index
                .transact(|transaction| uploads::create(transaction, &bucket, &key, &attributes))?;
            Ok(CreateMultipartUploadOutput {
                bucket: Some(bucket),
                key: Some(key.into_string()),
                upload_id: Some(id),
                ..CreateMultipartUploadOutput::default()
            })
        })
        .await
    }

    pub(super) async fn put_part(
        &self,
        input: UploadPartInput,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<UploadPartOutput> {
        let key = Key::parse(input.key)?;
        let (bucket, id, number) = (input.bucket, input.upload_id, input.part_number);
        uploads::check_number(number)?;
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
        let received = self.blobs.receive(body, declared).await?;
        let (blob, checksum) = (received.blob, received.checksum);
        let size = i64::try_from(received.size).map_err(internal)?;
        let digest = hex::encode(received.md5);
        let e_tag = Some(ETag::Strong(digest.clone()));
        self.blocking(move |store| {
            blob.sync().map_err(internal)?;
            let replaced = store.index.transact(|transaction| {
                uploads::require(transaction, &bucket, &key, &id)?;
                uploads::put_part(transaction, &id, number, (blob.name(), size, &digest))
            })?;
            blob.keep();
            store.blobs.remove(replaced);
            Ok(())
        })
        .await?;
        Ok(UploadPartOutput {
            e_tag,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..UploadPartOutput::default()
        })
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let key = Key::parse(input.key)?;
        let (bucket, id) = (input.bucket, input.upload_id);
        let named = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let condition = Condition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        };
        self.blocking(move |store| {
            let assembly = store
                .index
                .transact(|transaction| uploads::assemble(transaction, &bucket, &key, &id, &named))?;
            // Outside a transaction, since it may take long; so the upload is looked for once more after it.
            let blob = store.blobs.join(&assembly.blobs).map_err(internal)?;
            blob.sync().map_err(internal)?;
            let entry = Entry {
                blob: blob.name().to_owned(),
                size: assembly.size,
                etag: assembly.etag,
                modified: now(),
                attributes: assembly.attributes,
            };
            let obsolete = store.index.transact(|transaction| {
                uploads::require(transaction, &bucket, &key, &id)?;
                let mut obsolete = uploads::forget(transaction, &id)?;
                obsolete.extend(index::put(transaction, &bucket, &key, &entry, &condition)?);
                Ok(obsolete)
            })?;
            blob.keep();
            store.blobs.remove(obsolete);
            Ok(CompleteMultipartUploadOutput {
                location: Some(format!("/{bucket}/{}", key.clone().into_string())),
                e_tag: Some(entry.etag()),
                bucket: Some(bucket),
                key: Some(key.into_string()),
                ..CompleteMultipartUploadOutput::default()
            })
        })
        .await
    }
}
