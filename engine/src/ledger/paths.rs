//! Paths as the ledger keeps them: bytes, for a name need not be text.

use std::path::{Path, PathBuf};

use super::LedgerError;

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "elsewhere a name may have no bytes to keep"
)]
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, LedgerError> {
    use std::os::unix::ffi::OsStrExt;

    Ok(path.as_os_str().as_bytes().to_vec())
}

#[cfg(unix)]
pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;

    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, LedgerError> {
    path.to_str()
        .map(|text| text.as_bytes().to_vec())
        .ok_or_else(|| LedgerError::Path(path.to_owned()))
}

#[cfg(not(unix))]
pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}
