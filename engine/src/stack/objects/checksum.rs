//! What a request says its body is, and whether that holds.

use aws_smithy_types::base64;
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, ChecksumAlgorithm};
use s3s::{S3Result, TrailingHeaders, s3_error};

/// The digests a request declares, in its headers or behind its body.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// The content's MD5, Base64.
    pub(super) md5: Option<String>,
    /// The checksums in the headers.
    pub(super) checksum: Checksum,
    /// The algorithm whose checksum comes behind the body.
    pub(super) algorithm: Option<ChecksumAlgorithm>,
    /// Where it comes.
    pub(super) trailers: Option<TrailingHeaders>,
}

impl Declared {
    /// Computes what is declared.
    pub(super) fn hasher(&self) -> ChecksumHasher {
        let algorithm = self.algorithm.as_ref().map(ChecksumAlgorithm::as_str);
        let wanted = |declared: &Option<String>, name| declared.is_some() || algorithm == Some(name);
        ChecksumHasher {
            crc32: wanted(&self.checksum.checksum_crc32, ChecksumAlgorithm::CRC32).then(Default::default),
            crc32c: wanted(&self.checksum.checksum_crc32c, ChecksumAlgorithm::CRC32C).then(Default::default),
            sha1: wanted(&self.checksum.checksum_sha1, ChecksumAlgorithm::SHA1).then(Default::default),
            sha256: wanted(&self.checksum.checksum_sha256, ChecksumAlgorithm::SHA256).then(Default::default),
            crc64nvme: wanted(&self.checksum.checksum_crc64nvme, ChecksumAlgorithm::CRC64NVME)
                .then(Default::default),
        }
    }

    /// Compares what came with what was declared.
    pub(super) fn verify(self, md5: &[u8; 16], computed: &Checksum) -> S3Result<()> {
        if let Some(declared) = &self.md5
            && base64::decode(declared).ok().as_deref() != Some(md5.as_slice())
        {
            return Err(s3_error!(BadDigest, "the body does not have its Content-MD5"));
        }
        let trailers = self
            .trailers
            .as_ref()
            .and_then(TrailingHeaders::take)
            .unwrap_or_default();
        let behind = |name: &str| text(&trailers, name);
        let mut declared = self.checksum;
        let pairs = [
            (
                &mut declared.checksum_crc32,
                &computed.checksum_crc32,
                "x-amz-checksum-crc32",
            ),
            (
                &mut declared.checksum_crc32c,
                &computed.checksum_crc32c,
                "x-amz-checksum-crc32c",
            ),
            (
                &mut declared.checksum_sha1,
                &computed.checksum_sha1,
                "x-amz-checksum-sha1",
            ),
            (
                &mut declared.checksum_sha256,
                &computed.checksum_sha256,
                "x-amz-checksum-sha256",
            ),
            (
                &mut declared.checksum_crc64nvme,
                &computed.checksum_crc64nvme,
                "x-amz-checksum-crc64nvme",
            ),
        ];
        for (declared, computed, name) in pairs {
            let declared = declared.take().or_else(|| behind(name));
            if let (Some(declared), Some(computed)) = (declared, computed)
                && declared != *computed
            {
                return Err(s3_error!(BadDigest, "the body does not have its {name}"));
            }
        }
        Ok(())
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
