//! Codecs: how a piece of a file becomes a chunk, and back within a bound.

use std::io::{self, Read};

use roundtrip_core::plan::Codec;

/// How large a decoded piece may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// This size, signed by the client.
    Exactly(u64),
    /// Up to this size, configured.
    AtMost(u64),
}

impl Bound {
    const fn bytes_max(self) -> u64 {
        match self {
            Self::Exactly(bytes) | Self::AtMost(bytes) => bytes,
        }
    }

    /// The most bytes an honest encoder makes of such a piece.
    pub fn encoded_max(self) -> u64 {
        // zstd's own bound is size + size / 256 + less than 128 KiB.
        let size = self.bytes_max();
        size + size / 256 + (128 << 10)
    }
}

/// A chunk that does not decode to what was promised.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The encoding is broken or cut off.
    #[error("it does not decode: {0}")]
    Broken(#[source] io::Error),
    /// It would decode to more than was signed or allowed.
    #[error("it decodes to more than {0} bytes")]
    TooLarge(u64),
    /// It decodes to less than was signed.
    #[error("it decodes to {got} bytes, and {signed} were signed")]
    TooSmall {
        /// What was signed.
        signed: u64,
        /// What came.
        got: u64,
    },
    /// Something follows the frame.
    #[error("it is more than one frame")]
    Trailing,
}

/// Encodes a piece.
pub fn encode(codec: Codec, level: i32, piece: Vec<u8>) -> io::Result<Vec<u8>> {
    match codec {
        Codec::Zstd => zstd::bulk::compress(&piece, level),
        Codec::None => Ok(piece),
    }
}

/// Decodes a chunk without ever holding more than `bound` and one byte of it.
pub fn decode(codec: Codec, chunk: &[u8], bound: Bound) -> Result<Vec<u8>, DecodeError> {
    let bytes_max = bound.bytes_max();
    let piece = match codec {
        Codec::None => chunk.to_vec(),
        Codec::Zstd => decode_zstd(chunk, bytes_max)?,
    };
    let got = piece.len() as u64;
    if got > bytes_max {
        return Err(DecodeError::TooLarge(bytes_max));
    }
    match bound {
        Bound::Exactly(signed) if got < signed => Err(DecodeError::TooSmall { signed, got }),
        Bound::Exactly(_) | Bound::AtMost(_) => Ok(piece),
    }
}

fn decode_zstd(chunk: &[u8], bytes_max: u64) -> Result<Vec<u8>, DecodeError> {
    let mut rest = chunk;
    let mut decoder = zstd::Decoder::with_buffer(&mut rest)
        .map_err(DecodeError::Broken)?
        .single_frame();
    decoder
        .window_log_max(window_log_max(bytes_max))
        .map_err(DecodeError::Broken)?;
    let capacity = usize::try_from(bytes_max.min(chunk.len() as u64 * 4)).unwrap_or(0);
    let mut piece = Vec::with_capacity(capacity);
    decoder
        .by_ref()
        .take(bytes_max + 1)
        .read_to_end(&mut piece)
        .map_err(DecodeError::Broken)?;
    if piece.len() as u64 > bytes_max {
        return Err(DecodeError::TooLarge(bytes_max));
    }
    drop(decoder);
    if rest.is_empty() {
        Ok(piece)
    } else {
        Err(DecodeError::Trailing)
    }
}

/// The largest window a frame may ask for: what its piece needs, and at least the 8 MiB every level up to 19 uses.
fn window_log_max(bytes_max: u64) -> u32 {
    (u64::BITS - bytes_max.leading_zeros()).clamp(23, 27)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_piece_comes_back(piece in proptest::collection::vec(any::<u8>(), 0..5_000), level in 1i32..20) {
            for codec in [Codec::Zstd, Codec::None] {
                let chunk = encode(codec, level, piece.clone()).unwrap();
                let bound = Bound::Exactly(piece.len() as u64);
                prop_assert!(chunk.len() as u64 <= bound.encoded_max());
                prop_assert_eq!(decode(codec, &chunk, bound).unwrap(), piece.clone());
            }
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(chunk in proptest::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(piece) = decode(Codec::Zstd, &chunk, Bound::AtMost(1_000)) {
                prop_assert!(piece.len() <= 1_000);
            }
        }
    }

    #[test]
    fn a_bomb_a_cut_and_a_tail_are_refused() {
        let bomb = encode(Codec::Zstd, 19, vec![0; 64 << 20]).unwrap();
        let honest = encode(Codec::Zstd, 3, b"honest".to_vec()).unwrap();
        let twice = [honest.clone(), honest.clone()].concat();
        let errors = [
            decode(Codec::Zstd, &bomb, Bound::Exactly(1 << 20)),
            decode(Codec::Zstd, &bomb, Bound::AtMost(1 << 20)),
            decode(Codec::Zstd, &honest[..honest.len() - 1], Bound::Exactly(6)),
            decode(Codec::Zstd, &honest, Bound::Exactly(7)),
            decode(Codec::Zstd, &twice, Bound::Exactly(6)),
            decode(Codec::Zstd, b"", Bound::Exactly(6)),
            decode(Codec::None, b"honest", Bound::Exactly(5)),
        ]
        .map(|result| result.unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"));
    }
}
