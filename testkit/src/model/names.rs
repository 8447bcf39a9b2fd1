//! Names, moments and signatures of the model: well-formed, and as cheap as can be.

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;
use roundtrip_core::names::{ClientId, FileId};

/// The id of the n-th client.
pub(crate) fn client(number: usize) -> ClientId {
    let text = format!("client-04{number:0128x}");
    ClientId::parse(&text).expect("130 hex digits that begin with 04")
}

/// A file id: a UUID made of 128 bits.
pub(crate) fn file(high: u64, low: u64) -> FileId {
    let text = format!(
        "file-{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    );
    FileId::parse(&text).expect("a UUID in lower case")
}

/// A moment as job records spell it.
pub(crate) fn iso(moment: Timestamp) -> String {
    let (days, ms) = (moment.0.div_euclid(86_400_000), moment.0.rem_euclid(86_400_000));
    // Days since 1970-03-01 of year 0, as in Howard Hinnant's "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z",
        ms % 1_000
    )
}

/// A moment from a record; none where the text is none.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let digits = |from: usize, to: usize| -> Option<i64> { text.get(from..to)?.parse().ok() };
    if text.len() != 24 || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let (hours, minutes, seconds, ms) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?, digits(20, 23)?);
    Some(Timestamp(
        days * 86_400_000 + hours * 3_600_000 + minutes * 60_000 + seconds * 1_000 + ms,
    ))
}

/// FNV-1a.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A signature that only the client can make, since nobody in the model calls this for another. It is as long as a real
/// one mostly is: 71 bytes of DER in hex.
pub(crate) fn sign(client: &ClientId, text: &str) -> String {
    let number = client.as_str().get(120..).unwrap_or_default();
    format!("30{:016x}{:0124}", hash(&[number, text]), 0)
}

/// A result that was sealed: key, iv and tag, and so many bytes of text, in hex.
pub(crate) fn sealed(results: &str, plain_bytes: usize) -> String {
    let rest = "0".repeat((plain_bytes * 2).saturating_sub(results.len()));
    format!("04{:0128}:{:024}:{:032}:{rest}{results}", 0, 0, 0)
}

/// Whether a record is what its client signed, its outline included.
pub(crate) fn verify(job: &Job) -> Result<(), String> {
    let client = &job.key.client;
    if job.signature != sign(client, &job.signed_text()) {
        return Err("the record is not what its client signed".to_owned());
    }
    match (&job.outline, &job.outline_signature) {
        (None, _) => Ok(()),
        (Some(outline), Some(signature)) if *signature == sign(client, outline) => Ok(()),
        (Some(_), _) => Err("the outline is not what its client signed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_result_is_as_long_as_a_real_one() {
        for plain_bytes in [8, 126, 160_000] {
            let sealed = sealed("0123456789abcdef", plain_bytes);
            assert_eq!(sealed.len(), 130 + 1 + 24 + 1 + 32 + 1 + 2 * plain_bytes);
        }
    }

    #[test]
    fn moments_read_as_they_are_written() {
        assert_eq!(iso(Timestamp(1_758_799_311_690)), "2025-09-25T11:21:51.690Z");
        for ms in [0, 951_782_400_001, 1_709_164_800_999, 4_102_444_800_000] {
            assert_eq!(moment(&iso(Timestamp(ms))), Some(Timestamp(ms)));
        }
        assert_eq!(moment("yesterday"), None);
    }
}
