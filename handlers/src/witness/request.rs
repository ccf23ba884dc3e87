//! The body of an `add-checkpoint` request (C2SP tlog-witness): the old size, a consistency proof, a checkpoint. Strict: what
//! parses renders to the same bytes, and no length is believed before it was seen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A larger body is refused before it is read to its end: 63 proof lines are 2,835 bytes, a checkpoint rarely has 10 KB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// No proof between two trees of at most 2^63 leaves is longer (C2SP tlog-witness: "MUST NOT send more than 63").
pub const PROOF_LINES_MAX: usize = 63;
/// A larger size could not be kept; no log reaches it.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// Why a body is no request. Says which part, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More bytes than any request has.
    #[error("the body has more than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// The first line is not `old <size>`.
    #[error("the first line is not the old size")]
    OldSize,
    /// A line of the proof is not the base64 of 32 bytes.
    #[error("a line of the proof is no hash")]
    ProofLine,
    /// More than 63 lines of proof.
    #[error("the proof has more than {PROOF_LINES_MAX} lines")]
    ProofLength,
    /// No empty line ends the proof.
    #[error("no empty line ends the proof")]
    NoEnd,
}

/// A request as it came; the checkpoint is not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint<'a> {
    /// The size that the client believes the witness to have cosigned last.
    pub old_size: u64,
    /// The RFC 6962 consistency proof from that size to the checkpoint's.
    pub proof: Vec<[u8; 32]>,
    /// The signed note.
    pub note: &'a [u8],
}

impl<'a> AddCheckpoint<'a> {
    /// Returns the request that the body is. `render` of the result gives exactly these bytes.
    pub fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(RequestError::TooLong);
        }
        let (first, mut rest) = line(body).ok_or(RequestError::OldSize)?;
        let old_size = first.strip_prefix(b"old ").and_then(size).ok_or(RequestError::OldSize)?;
        let mut proof = Vec::new();
        // Each turn takes a line off, and no more than 64 are looked at.
        loop {
            let (hash, after) = line(rest).ok_or(RequestError::NoEnd)?;
            rest = after;
            if hash.is_empty() {
                return Ok(Self { old_size, proof, note: rest });
            }
            if proof.len() == PROOF_LINES_MAX {
                return Err(RequestError::ProofLength);
            }
            proof.push(hash_of(hash).ok_or(RequestError::ProofLine)?);
        }
    }

    /// Returns the body.
    pub fn render(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old_size).into_bytes();
        for hash in &self.proof {
            body.extend_from_slice(STANDARD.encode(hash).as_bytes());
            body.push(b'\n');
        }
        body.push(b'\n');
        body.extend_from_slice(self.note);
        body
    }
}

/// Returns the first line without its end, and what follows.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

/// Returns the size that ASCII digits without leading zeros spell.
pub(super) fn size(digits: &[u8]) -> Option<u64> {
    let spelt = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits).ok().filter(|_| spelt)?.parse().ok()?;
    (number <= SIZE_MAX).then_some(number)
}

/// Returns the hash that 44 characters of canonical base64 spell.
fn hash_of(line: &[u8]) -> Option<[u8; 32]> {
    STANDARD.decode(line).ok().filter(|_| line.len() == 44)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP tlog-witness, whole.
    const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

    #[test]
    fn the_example_of_the_specification_is_read_and_written_again() {
        let request = AddCheckpoint::parse(EXAMPLE.as_bytes()).expect("the example of C2SP tlog-witness");
        assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
        assert!(request.note.starts_with(b"example.com/behind-the-sofa\n20852163\n"));
        assert_eq!(request.render(), EXAMPLE.as_bytes());
    }

    #[test]
    fn what_parses_renders_to_the_same_bytes_and_the_rest_is_refused() {
        use RequestError::{NoEnd, OldSize, ProofLength, ProofLine};
        let hash = STANDARD.encode([7; 32]);
        let many = |count: usize| format!("old 9\n{}\nnote\n", format!("{hash}\n").repeat(count));
        for good in ["old 0\n\n", "old 9223372036854775807\n\nx", &many(1), &many(63)] {
            assert_eq!(AddCheckpoint::parse(good.as_bytes()).expect(good).render(), good.as_bytes());
        }
        let bad = [
            ("", OldSize),
            ("old 1", OldSize),
            ("old\n\n", OldSize),
            ("old 01\n\n", OldSize),
            ("old +1\n\n", OldSize),
            ("old -1\n\n", OldSize),
            ("old  1\n\n", OldSize),
            ("old 1 \n\n", OldSize),
            ("Old 1\n\n", OldSize),
            ("old 9223372036854775808\n\n", OldSize),
            ("old 18446744073709551616\n\n", OldSize),
            ("old 1\n", NoEnd),
            (&format!("old 1\n{hash}\n"), NoEnd),
            (&format!("old 1\n{hash}"), NoEnd),
            (&format!("old 1\r\n{hash}\n\n"), OldSize),
            (&format!("old 1\n{hash}\r\n\n"), ProofLine),
            (&format!("old 1\n{}\n\n", &hash[..43]), ProofLine),
            (&format!("old 1\n{}\n\n", hash.replace("c=", "d=")), ProofLine),
            (&format!("old 1\n{}\n\n", STANDARD.encode([7; 33])), ProofLine),
            (&many(64), ProofLength),
        ];
        for (text, why) in bad {
            assert_eq!(AddCheckpoint::parse(text.as_bytes()), Err(why), "{text:?}");
        }
        let long = vec![b'a'; BODY_BYTES_MAX + 1];
        assert_eq!(AddCheckpoint::parse(&long), Err(RequestError::TooLong));
    }
}
