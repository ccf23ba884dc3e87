//! `Published` on S3: tiles and checkpoints.
