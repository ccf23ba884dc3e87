//! Checkpoints (c2sp.org/tlog-checkpoint): the text of the note that a log signs.

use std::fmt;

use crate::RootHash;
use crate::header::parse_decimal;

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is three lines or more, origin, size and root, each ended by LF and none empty")]
pub struct CheckpointError;

/// How large a log is, and what it hashes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log; one of ours is named by its [`crate::Origin`].
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// RFC 6962 root of them.
    pub root: RootHash,
    /// Further lines, which say nothing to us. Ours have none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Makes the checkpoint of one of our logs.
    pub fn new(origin: &crate::Origin, size: u64, root: RootHash) -> Self {
        Self { origin: origin.as_str().to_owned(), size, root, extensions: Vec::new() }
    }

    /// Returns the checkpoint that a note's text is. Rendering it gives the same text.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError)?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError);
        let (origin, size, root) = (line()?.to_owned(), line()?, line()?);
        let size = parse_decimal(size).ok_or(CheckpointError)?;
        let root = RootHash::from_base64(root.as_bytes()).ok_or(CheckpointError)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError);
        }
        Ok(Self { origin, size, root, extensions })
    }
}

/// The note's text.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root.base64())?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_text_of_the_specification_is_read_and_written() {
        let checkpoint = Checkpoint::parse(TEXT).expect("checkpoint");
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.to_string(), TEXT);
        let extended = format!("{TEXT}an extension\nand another\n");
        assert_eq!(Checkpoint::parse(&extended).expect("extended").to_string(), extended);
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for (from, to) in [
            ("20852163", "020852163"),
            ("20852163", "-1"),
            ("20852163", ""),
            ("CsUY", "CsU"),
            ("2I=\n", "2I="),
            ("2I=\n", "2I=\n\n"),
            ("2I=\n", "2I=\n\nx\n"),
            ("example.com/behind-the-sofa", ""),
            ("20852163", "18446744073709551616"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_eq!(Checkpoint::parse(&text), Err(CheckpointError), "{text}");
        }
    }
}
