//! Reading objects and listing them.

use std::io::SeekFrom;

use s3s::dto::{
    ChecksumMode, ETag, ETagCondition, EncodingType, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    StreamingBlob,
};
use s3s::{S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::index::{self, Entry, timestamp};
use super::key::Key;
use super::listing::{self, Page, Query};
use super::{Objects, internal};

/// How much of a body is read from its file at once.
const BUFFER_BYTES: usize = 128 * 1024;

/// How often a body that was replaced between looking it up and opening it is looked up again.
const LOOKUPS_MAX: usize = 8;

impl Objects {
    pub(super) async fn require_bucket(&self, bucket: String) -> S3Result<()> {
        self.transact(move |transaction| index::require_bucket(transaction, &bucket))
            .await
    }

    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        let key = Key::parse(input.key)?;
        let (entry, file) = self.open_body(input.bucket, key).await?;
        allow(&entry, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let size = u64::try_from(entry.size).map_err(internal)?;
        let range = input.range.map(|range| range.check(size)).transpose()?;
        let content_range = range
            .as_ref()
            .map(|range| format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)));
        let whole = range.is_none();
        let range = range.unwrap_or(0..size);
        let length = range.end - range.start;

        let mut file = tokio::fs::File::from_std(file);
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start)).await.map_err(internal)?;
        }
        let body = ReaderStream::with_capacity(file.take(length), BUFFER_BYTES);
        let with_checksum = whole && is_enabled(input.checksum_mode.as_ref());
        let e_tag = Some(entry.etag());
        let attributes = entry.attributes.shown(with_checksum);
        Ok(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(i64::try_from(length).map_err(internal)?),
            content_range,
            e_tag,
            last_modified: Some(timestamp(entry.modified)),
            content_type: attributes.content_type,
            content_encoding: attributes.content_encoding,
            content_disposition: attributes.content_disposition,
            content_language: attributes.content_language,
            cache_control: attributes.cache_control,
            metadata: attributes.metadata,
            checksum_crc32: attributes.crc32,
            checksum_crc32c: attributes.crc32c,
            checksum_crc64nvme: attributes.crc64nvme,
            checksum_sha1: attributes.sha1,
            checksum_sha256: attributes.sha256,
            ..GetObjectOutput::default()
        })
    }

    pub(super) async fn head(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let key = Key::parse(input.key)?;
        let bucket = input.bucket;
        let entry = self
            .transact(move |transaction| index::entry(transaction, &bucket, &key))
            .await?;
        allow(&entry, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let with_checksum = is_enabled(input.checksum_mode.as_ref());
        let e_tag = Some(entry.etag());
        let attributes = entry.attributes.shown(with_checksum);
        Ok(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(entry.size),
            e_tag,
            last_modified: Some(timestamp(entry.modified)),
            content_type: attributes.content_type,
            content_encoding: attributes.content_encoding,
            content_disposition: attributes.content_disposition,
            content_language: attributes.content_language,
            cache_control: attributes.cache_control,
            metadata: attributes.metadata,
            checksum_crc32: attributes.crc32,
            checksum_crc32c: attributes.crc32c,
            checksum_crc64nvme: attributes.crc64nvme,
            checksum_sha1: attributes.sha1,
            checksum_sha256: attributes.sha256,
            ..HeadObjectOutput::default()
        })
    }

    /// The object and its opened body. Once opened it stays readable, whatever becomes of the object.
    async fn open_body(&self, bucket: String, key: Key) -> S3Result<(Entry, std::fs::File)> {
        self.blocking(move |store| {
            let mut lookups = 0;
            loop {
                let entry = store
                    .index
                    .transact(|transaction| index::entry(transaction, &bucket, &key))?;
                lookups += 1;
                match std::fs::File::open(store.blobs.path(&entry.blob)) {
                    Ok(file) => return Ok((entry, file)),
                    // Replaced or deleted in between: ask again.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound && lookups < LOOKUPS_MAX => {}
                    Err(error) => return Err(internal(error)),
                }
            }
        })
        .await
    }

    pub(super) async fn list(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let from = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => hex::decode(token)
                .map_err(|_| s3_error!(InvalidArgument, "the continuation token is not one of ours"))?,
            (None, Some(start)) => listing::after(start),
            (None, None) => Vec::new(),
        };
        let encoding = input.encoding_type.clone();
        let encode = |text: Option<String>| text.map(|text| listing::encoded(text, encoding.as_ref()));
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            page_max: input.max_keys,
            from,
        };
        let max_keys = query.page_max();
        let mut page = self.page(input.bucket.clone(), query, encoding.clone()).await?;
        let key_count = i32::try_from(page.objects.len() + page.groups.len()).map_err(internal)?;
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: encode(input.prefix),
            delimiter: encode(input.delimiter),
            start_after: encode(input.start_after),
            max_keys: Some(max_keys),
            key_count: Some(key_count),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.take().map(hex::encode),
            common_prefixes: page.common_prefixes(),
            contents: (!page.objects.is_empty()).then_some(page.objects),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        })
    }

    /// The older listing, which goes on from the last key seen.
    pub(super) async fn list_from_marker(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let delimiter = input
            .delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty());
        let from = match (&input.marker, delimiter) {
            (Some(marker), Some(delimiter)) if marker.ends_with(delimiter) => listing::past(marker),
            (Some(marker), _) if !marker.is_empty() => listing::after(marker),
            _ => Vec::new(),
        };
        let encoding = input.encoding_type.clone();
        let encode = |text: Option<String>| text.map(|text| listing::encoded(text, encoding.as_ref()));
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            page_max: input.max_keys,
            from,
        };
        let max_keys = query.page_max();
        let mut page = self.page(input.bucket.clone(), query, encoding.clone()).await?;
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: encode(input.prefix),
            marker: encode(input.marker),
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            next_marker: encode(page.last.take()).filter(|_| input.delimiter.is_some()),
            delimiter: encode(input.delimiter),
            common_prefixes: page.common_prefixes(),
            contents: (!page.objects.is_empty()).then_some(page.objects),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }

    async fn page(&self, bucket: String, query: Query, encoding: Option<EncodingType>) -> S3Result<Page> {
        let mut page = self
            .transact(move |transaction| listing::list(transaction, &bucket, &query))
            .await?;
        page.encode(encoding.as_ref());
        Ok(page)
    }
}

fn is_enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

/// Checks the conditions of a read.
fn allow(
    entry: &Entry,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let is = |etag: &ETag| etag.value() == entry.etag;
    if let Some(ETagCondition::ETag(etag)) = if_match
        && !is(etag)
    {
        return Err(s3_error!(PreconditionFailed, "the object has another ETag"));
    }
    match if_none_match {
        Some(ETagCondition::Any) => Err(s3_error!(NotModified)),
        Some(ETagCondition::ETag(etag)) if is(etag) => Err(s3_error!(NotModified)),
        Some(ETagCondition::ETag(_)) | None => Ok(()),
    }
}
