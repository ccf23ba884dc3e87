//! The hashes of the ledger (DESIGN §5): all SHA-256, each kind a type of its own so that none can stand for another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::{Origin, StreamKey};

macro_rules! hashes {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Returns the standard base64 with padding: 44 characters.
            pub fn base64(&self) -> String {
                STANDARD.encode(self.0)
            }

            /// Returns the hash that 44 characters of canonical standard base64 spell.
            pub fn from_base64(text: &[u8]) -> Option<Self> {
                decode_base64(text).map(Self)
            }

            /// Returns the hash if `bytes` are 32.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        /// Lower-case hex, 64 digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
    )+};
}

hashes! {
    /// The hash of an entry: SHA-256(0x00 ‖ header). Link of the next entry and RFC 6962 leaf at once.
    LeafHash,
    /// The hash of a body: SHA-256(nonce ‖ body as stored).
    BodyHash,
    /// The RFC 6962 Merkle tree hash over all leaves of a log.
    RootHash,
}

/// Sixteen random bytes in front of a body, so that a guessed body cannot be confirmed from its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    /// Returns the nonce as standard base64 with padding: 24 characters.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

/// Returns the leaf hash of a header as stored.
pub fn leaf_hash(header: &[u8]) -> LeafHash {
    LeafHash(Sha256::new().chain_update([0]).chain_update(header).finalize().into())
}

/// Returns the RFC 6962 hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Returns the hash of a body as stored, under its nonce.
pub fn body_hash(nonce: &Nonce, body: &[u8]) -> BodyHash {
    BodyHash(Sha256::new().chain_update(nonce.0).chain_update(body).finalize().into())
}

/// Returns what the first entry of a stream links to: SHA-256(origin LF stream LF). No entry has this leaf hash.
pub fn first_prev(origin: &Origin, stream: StreamKey) -> LeafHash {
    let text = format!("{origin}\n{stream}\n");
    LeafHash(Sha256::digest(text.as_bytes()).into())
}

/// Returns the root of a log without entries (RFC 6962 §2.1): SHA-256 of nothing.
pub(crate) fn empty_root() -> RootHash {
    RootHash(Sha256::digest([]).into())
}

fn decode_base64(text: &[u8]) -> Option<[u8; 32]> {
    // 44 characters decode to at most 33 bytes; the engine refuses non-canonical padding and trailing bits.
    let mut bytes = [0; 33];
    let length = if text.len() == 44 { STANDARD.decode_slice(text, &mut bytes).ok()? } else { return None };
    bytes[..length].try_into().ok()
}

/// Writes lower-case hex through one buffer: `write!` per byte shows in the append figures.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for chunk in bytes.chunks(32) {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(chunk) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text[..chunk.len() * 2]).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

/// What each byte is as a lower-case hex digit; [`NO_DIGIT`] for those that are none.
const HEX: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = 0x80;

/// Returns the bytes that exactly `2 * N` lower-case hex digits spell.
pub(crate) fn parse_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut seen) = ([0; N], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
        *byte = high << 4 | low & 15;
        seen |= high | low;
    }
    (seen & NO_DIGIT == 0).then_some(bytes)
}
