//! The objects of S3: an index in SQLite, and a file for each body.
//!
//! s3s-fs, which keeps objects as a tree of files, cannot hold our keys: it names a side file after the whole
//! key in Base64, and `<client>/<file>/manifest` makes that name longer than the 255 bytes a file system takes.
//! An index also makes conditional writes atomic, needs no folders tidied, and has no path a key could leave.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryFutureExt;
use rusqlite::Transaction;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, PutObjectInput, PutObjectOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::error::{Error, Result};

mod blobs;
mod buckets;
mod checksum;
mod index;
mod key;
mod listing;
mod multipart;
mod read;
mod uploads;
mod write;

use blobs::Blobs;
use index::Index;
use key::Key;

/// The store behind the protocol server. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    index: Arc<Index>,
    blobs: Blobs,
}

impl Objects {
    /// Opens the folder, makes what is missing in it, and removes what interrupted requests left. Blocks.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let unusable = |what: String| {
            Error::config(format!("cannot use {} for S3: {what}", folder.display()))
                .hint("its disk needs free space, and the folder must be this user's and made by this or an older version")
        };
        let blobs = Blobs::open(&folder.join("blobs")).map_err(|error| unusable(error.to_string()))?;
        let index = Index::open(&folder.join("index.sqlite")).map_err(unusable)?;
        let in_use = index
            .transact(uploads::expire)
            .and_then(|()| index.blobs())
            .map_err(|error| unusable(error.to_string()))?;
        let removed = blobs
            .sweep(&in_use)
            .map_err(|error| unusable(error.to_string()))?;
        if removed > 0 {
            tracing::info!(removed, "removed the remains of interrupted uploads");
        }
        Ok(Self {
            index: Arc::new(index),
            blobs,
        })
    }

    /// Runs blocking work of this store on a thread for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .map_err(internal)?
    }

    /// Runs one transaction of the index there.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        self.blocking(move |store| store.index.transact(work)).await
    }
}

/// A fault of this computer, such as a full disk. The reader is on this computer as well, so it is told.
fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(%error, "the S3 part of the stack failed");
    let full = (&error as &(dyn std::error::Error + 'static))
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::StorageFull);
    if full {
        s3_error!(InternalError, "the disk is full")
    } else {
        s3_error!(InternalError, "{error}")
    }
}

fn answer<T>(output: T) -> S3Response<T> {
    S3Response::new(output)
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = request.input.bucket;
        let location = Some(format!("/{name}"));
        self.transact(move |transaction| buckets::create(transaction, &name))
            .await?;
        Ok(answer(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = request.input.bucket;
        self.transact(move |transaction| buckets::delete(transaction, &name))
            .await?;
        Ok(answer(DeleteBucketOutput {}))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.require_bucket(request.input.bucket).await?;
        Ok(answer(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.require_bucket(request.input.bucket).await?;
        Ok(answer(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.transact(buckets::list).await?;
        Ok(answer(ListBucketsOutput {
            buckets: Some(buckets),
            ..ListBucketsOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request.input).map_ok(answer).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request.input).map_ok(answer).await
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.list_from_marker(request.input).map_ok(answer).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list(request.input).map_ok(answer).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request.input, request.trailing_headers)
            .map_ok(answer)
            .await
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request.input).map_ok(answer).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(request.input).map_ok(answer).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_many(request.input).map_ok(answer).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.create_upload(request.input).map_ok(answer).await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.put_part(request.input, request.trailing_headers)
            .map_ok(answer)
            .await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(request.input).map_ok(answer).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput {
            bucket,
            key,
            upload_id,
            ..
        } = request.input;
        let key = Key::parse(key)?;
        self.blocking(move |store| {
            let blobs = store.index.transact(|transaction| {
                uploads::require(transaction, &bucket, &key, &upload_id)?;
                uploads::forget(transaction, &upload_id)
            })?;
            store.blobs.remove(blobs);
            Ok(())
        })
        .await?;
        Ok(answer(AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let ListPartsInput {
            bucket,
            key,
            upload_id,
            ..
        } = request.input;
        let key = Key::parse(key)?;
        self.blocking(move |store| {
            let parts = store.index.transact(|transaction| {
                uploads::require(transaction, &bucket, &key, &upload_id)?;
                uploads::parts(transaction, &upload_id)
            })?;
            Ok(answer(ListPartsOutput {
                bucket: Some(bucket),
                key: Some(key.into_string()),
                upload_id: Some(upload_id),
                is_truncated: Some(false),
                parts: Some(parts),
                ..ListPartsOutput::default()
            }))
        })
        .await
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
        self.blocking(move |store| {
            let prefix_text = prefix.as_deref().unwrap_or_default();
            let uploads = store
                .index
                .transact(|transaction| uploads::list(transaction, &bucket, prefix_text))?;
            Ok(answer(ListMultipartUploadsOutput {
                bucket: Some(bucket),
                prefix,
                is_truncated: Some(false),
                uploads: Some(uploads),
                ..ListMultipartUploadsOutput::default()
            }))
        })
        .await
    }
}
